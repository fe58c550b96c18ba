"""`bsconv-nas finalize`."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from bsconv_nas.base.units import parse_amount
from bsconv_nas.cli.console import DirOption, JsonOption, StorageOption, StudyArgument, err, out, print_json
from bsconv_nas.cli.tables import percent
from bsconv_nas.errors import StudyError, UsageError
from bsconv_nas.study.arms import random_arm
from bsconv_nas.study.custom import check_networks
from bsconv_nas.study.locate import DEFAULT_DIR, load_study


def finalize(
    study: StudyArgument = None,
    top: Annotated[int, typer.Option(help="Networks of the front under each budget.")] = 3,
    seeds: Annotated[int, typer.Option(help="Trainings of each network, with seeds 0, 1, ...")] = 3,
    epochs: Annotated[int | None, typer.Option(help="Epochs of each training. (default: 100)")] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="AMOUNTS", help="Budgets in MACs, such as 100M,200M. (default: that of the best network)"),
    ] = None,
    arm: Annotated[
        str | None,
        typer.Option(
            metavar="STUDY",
            help="A random search on the same images, whose best network is compared too; none for none. (default: one "
            "of the same space, limits and training in --dir, if there is one)",
        ),
    ] = None,
    references: Annotated[
        str,
        typer.Option(
            metavar="nearest|NAMES",
            help="Hand-made networks to compare: the nearest under each budget, or all whose names fit patterns such "
            "as '*resnet20*,*wrn16*'.",
        ),
    ] = "nearest",
    data: Annotated[
        str | None, typer.Option(metavar="NAME|FOLDER", help="Where the study's images are now, if they moved.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Trainings at a time; 0: in this process. (default: as the study)")
    ] = None,
    directory: DirOption = DEFAULT_DIR,
    storage: StorageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train the best networks fully with several seeds, beside references, then test them once; run again to continue.

    The references are, unless named, the hand-made BSConv network and the MobileNet of nearest MACs at or below each
    budget. The table is also written to final/results.md, .csv and .json in the study's folder.
    """
    from bsconv_nas.cli.final_tables import margins_table, networks_table
    from bsconv_nas.final.contestants import choose, default_budgets
    from bsconv_nas.final.run import Final, full_recipe

    if seeds < 1:
        raise UsageError(f"--seeds is {seeds}; allowed: at least 1")
    searched = load_study(study, directory, storage)
    check_networks(searched)
    folder = searched.folder
    assert folder is not None, "studies on disk have a folder"
    budgets = [float(parse_amount(part, "--at")) for part in at.split(",")] if at else default_budgets(searched)
    settings, images = _images(folder, data, workers)
    other = _arm(arm, folder, directory, storage)
    if other is not None:
        _check_arm(other, images.fingerprint)
    contestants = choose(searched, budgets, top, images.image_size, other, references)
    recipe = full_recipe(images, settings.data, epochs)
    final = Final(contestants, range(seeds), images, recipe, folder / "final")
    results = _run(final, settings, show=not as_json)
    if as_json:
        print_json(results.to_dict())
        return
    out.print(networks_table(results.rows, out.width))
    if results.margins:
        out.print(margins_table(results.margins))
    for note in results.notes():
        out.print(note, highlight=False, markup=False)
    out.print(f"Table: {final.folder}/results.md (also .csv, .json)", highlight=False, markup=False)


def _images(folder: Path, data: str | None, workers: int | None) -> tuple[Any, Any]:
    """The study's settings, changed as asked, and its images, checked to be those that were searched on."""
    from bsconv_nas.data import check_test_part
    from bsconv_nas.final.run import check_data
    from bsconv_nas.plan import load_data
    from bsconv_nas.study.settings import read_study_file

    file = read_study_file(folder)
    changes = {"data": data or None, "workers": workers}
    settings = file.settings.model_copy(update={name: value for name, value in changes.items() if value is not None})
    check_test_part(settings.data)
    images = load_data(settings)
    check_data(file, images)
    return settings, images


def _arm(name: str | None, folder: Path, directory: Path, storage: str | None) -> Any:
    if name is not None:
        return load_study(name, directory, storage) if name != "none" else None
    arm = random_arm(folder)
    if arm is None:
        return None
    err.print(f"Compared with the random search {arm}", highlight=False, markup=False, soft_wrap=True)
    return load_study(str(arm), directory, storage)


def _check_arm(arm: Any, fingerprint: str) -> None:
    from bsconv_nas.study.settings import read_study_file

    if read_study_file(arm.folder).resolved.get("data_fingerprint") != fingerprint:
        raise StudyError(f"study {arm.name!r} was searched on other images; choose another --arm")


def _run(final: Any, settings: Any, show: bool) -> Any:
    from bsconv_nas.api import make_executor
    from bsconv_nas.data import load_test_data
    from bsconv_nas.engine.interrupt import interruptible
    from bsconv_nas.final.queue import FinalQueue, FullEvaluator
    from bsconv_nas.plan import resources
    from bsconv_nas.study.lease import Lease

    machine = resources(settings)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:.0f} %"),
        TimeRemainingColumn(),
    )
    with (
        Lease(final.folder),
        Progress(*columns, console=err, transient=True, disable=not (show and err.is_terminal)) as bar,
    ):
        view = _View(bar, show)
        queue = FinalQueue(final.contestants, final.seeds, final.data, final.recipe, final.folder, view.reported)
        view.start(queue.waiting_at_start, final.recipe.epochs)
        evaluator = FullEvaluator(final.data, final.recipe, machine.device, machine.threads)
        if queue.waiting_at_start:
            executor = make_executor(
                machine.workers,
                machine.cpus_per_trial,
                machine.gpus_per_trial,
                settings.ray_address,
                final.data.nbytes,
            )
            with interruptible(queue):
                executor.run(queue, evaluator)
        if not queue.complete:
            err.print(f"Stopped: {queue.ended_because}. The same command continues.", highlight=False, markup=False)
            raise typer.Exit(130)
        for name, reason in queue.failed.items():
            err.print(f"warning: training {name} failed: {reason}", highlight=False, markup=False)
        view.testing(len(queue.records))
        options: dict[str, Any] = {
            "image_size": settings.image_size,
            "skip_bad_images": settings.skip_bad_images,
        }
        return final.test(queue, lambda: load_test_data(settings.data, **options), view.tested)


class _View:
    """A progress bar over all epochs on a terminal, a line per training elsewhere."""

    def __init__(self, bar: Progress, show: bool) -> None:
        self._bar = bar
        self._lines = show and not err.is_terminal
        self._done = 0
        self._trainings = 0
        self._task = bar.add_task("", total=None)

    def start(self, trainings: int, epochs: int) -> None:
        self._trainings = trainings
        self._bar.update(self._task, description=f"{trainings} trainings", total=max(1, trainings * epochs))

    def reported(self, job: Any, result: Any) -> None:
        self._done += result.final
        text = f"{job.genotype[0]} seed {job.seed}: epoch {result.epoch}/{result.epochs}, val {percent(result.top1)}"
        self._bar.update(self._task, advance=1, description=f"[{self._done}/{self._trainings}] {text}")
        if self._lines and result.final:
            err.print(f"[{self._done}/{self._trainings}] {text}", highlight=False, markup=False)

    def testing(self, networks: int) -> None:
        self._bar.reset(self._task, description="testing", total=networks)

    def tested(self) -> None:
        self._bar.advance(self._task)
