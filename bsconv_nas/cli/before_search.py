"""Before a search: images and latencies with a progress bar, earlier trials, and what is printed of the plan."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bsconv_nas.base.units import counted
from bsconv_nas.cli.console import err
from bsconv_nas.cli.space_facts import facts_line, space_facts
from bsconv_nas.data import ImageData, caveats, check_test_part
from bsconv_nas.errors import DataError, StudyError
from bsconv_nas.networks.latency_table import LatencyTable
from bsconv_nas.plan import Plan, load_data, with_latency
from bsconv_nas.study import TrialRecord
from bsconv_nas.study.custom import check_networks
from bsconv_nas.study.locate import load_study
from bsconv_nas.study.settings import SearchSettings
from bsconv_nas.train.recipe import Recipe


def load_images(settings: SearchSettings, download: bool, show: bool) -> ImageData:
    """The images that settings name."""
    with _bar("reading images", show) as moved:
        return load_data(settings, download, moved)


def measure_latency(plan: Plan, folder: Path, show: bool) -> Plan:
    """The plan with latencies among its costs, if they are limited."""
    with _bar("measuring latencies", show) as moved:
        return with_latency(plan, folder, moved)


def earlier_records(folder: Path, directory: Path, storage: str | None) -> list[TrialRecord]:
    """Trials of earlier runs of the study in a folder; none where there is no study yet."""
    try:
        study = load_study(str(folder), directory, storage)
        check_networks(study)  # a study of a space of one's own is refused when it is opened to search
        return study.records
    except StudyError:
        return []


def header(plan: Plan, folder: Path, earlier: list[TrialRecord]) -> str:
    """What is to be searched, on what, for how long, and what to beware of."""
    done = len(earlier)
    data, machine = plan.data, plan.resources
    height, width = data.image_size
    count = len(data.train_images) + len(data.val_images)
    gpus = machine.gpus_per_trial
    device = counted(gpus, "GPU") if gpus else counted(machine.cpus_per_trial, "core")
    progress = f"continuing, {done} of {plan.settings.trials} trials done" if done else "new"
    lines = [
        f"Data      {data.name}: {count} images ({len(data.val_images)} of them held out), "
        f"{height}x{width}, {data.num_classes} classes",
        f"Space     {facts_line(space_facts(plan.space, plan.limits), plan.limits)}",
        f"Training  {counted(plan.recipe.epochs, 'epoch')}{_shares(plan.recipe, height, width)}, "
        f"batch {plan.recipe.batch_size}, {plan.recipe.precision}; "
        f"{_workers(machine.workers)}, {device} each; sampler {plan.sampler}",
        f"Study     {folder} ({progress})",
    ]
    if plan.space.latency is not None:
        lines.append(f"Latency   {_latency_line(plan.space.latency)}")
    from bsconv_nas.cost_estimate import cost_line

    cost = cost_line(plan, [record.seconds for record in earlier])
    if cost is not None:
        lines.append(f"Cost      {cost}")
    return "\n".join([*lines, *(f"Warning   {warning}" for warning in _warnings(plan))])


def _warnings(plan: Plan) -> list[str]:
    skipped = plan.data.skipped
    warnings = [f"{skipped} unreadable images were left out"] if skipped else []
    try:
        check_test_part(plan.settings.data)
    except DataError as error:  # a search needs no test part
        warnings.append(f"the final test will not be possible: {error}")
    return warnings + caveats(plan.data)


def _workers(count: int | None) -> str:
    if count == 0:
        return "in this process"
    return "all workers" if count is None else counted(count, "worker")


def _latency_line(table: LatencyTable) -> str:
    middle, most = (f"{100 * error:.0f} %" for error in table.errors)
    return (
        f"{table}; sums over {len(table.ms)} measured operations differ from {len(table.checks)} "
        f"whole networks by {middle} (median), {most} (most)"
    )


def _shares(recipe: Recipe, height: int, width: int) -> str:
    """What of the images is trained on, where that is not all of them at their size."""
    images = "" if recipe.train_fraction == 1 else f" of {100 * recipe.train_fraction:g} % of the images"
    if not recipe.small_epochs:
        return images
    first = "first" if recipe.small_epochs == 1 else f"first {recipe.small_epochs}"
    small_height, small_width = (round(recipe.small_scale * side) for side in (height, width))
    return f"{images} (the {first} with images shrunk to {small_height}x{small_width})"


@contextmanager
def _bar(title: str, show: bool) -> Generator[Callable[[int, int], None]]:
    """A progress bar on a terminal, moved by `(done, total)`."""
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not (show and err.is_terminal)) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
