"""Running a search from the command line: what is printed before, while it runs, and after."""

import shlex
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bsconv_nas.api import make_executor
from bsconv_nas.api import search as run_api
from bsconv_nas.base.units import counted, format_amount, format_duration
from bsconv_nas.cli.console import err, hanging, out
from bsconv_nas.cli.progress import LiveView, PlainView, Tally
from bsconv_nas.cli.spaces import space_facts
from bsconv_nas.cli.tables import front_rows, front_table, percent, record_row
from bsconv_nas.data import ImageData, caveats, check_test_part
from bsconv_nas.errors import DataError, StudyError
from bsconv_nas.networks.latency_table import LatencyTable
from bsconv_nas.plan import Plan, check_settings, load_data, make_plan, studies_folder, with_latency
from bsconv_nas.study import Study, TrialRecord
from bsconv_nas.study.custom import check_networks
from bsconv_nas.study.locate import load_study
from bsconv_nas.study.settings import SearchSettings, StudyFile, provenance
from bsconv_nas.study.storage import has_password
from bsconv_nas.train.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Outcome:
    """A search that ended."""

    study: Study
    folder: Path
    tally: Tally

    @property
    def interrupted(self) -> bool:
        return (self.tally.reason or "").startswith("interrupted")

    @property
    def exhausted(self) -> bool:
        return (self.tally.reason or "").startswith("every network")

    def as_json(self) -> dict[str, Any]:
        """The result as plain data."""
        best = self.study.best()
        return {
            "study": self.study.name,
            "folder": str(self.folder),
            "limits": dict(self.study.limits.bounds),
            "trials": len(self.study.records),
            "ended_because": self.tally.reason,
            "best": record_row(best) if best else None,
            "front": front_rows(self.study),
        }

    def print_result(self, command: str) -> None:
        """Print the front, the best network, where the study lies and what to type next."""
        best = self.study.best()
        lines: list[str] = []
        if best is None:
            lines.append("No network has been trained to the end yet.")
        else:
            within = f" with {self.study.limits}" if self.study.limits.bounds else ""
            out.print(front_table(self.study.front(), best=best.number))
            lines.append(
                f"Best{within}: trial {best.number} ({best.identity}), "
                f"{format_amount(best.cost['macs'])} MACs, val top-1 {percent(best.top1)}"
            )
        lines.append(f"{self.tally.counts}; this run took {format_duration(self.tally.seconds)}")
        lines.append(f"Study: {self.folder}")
        if self.tally.reason and not self.exhausted:
            lines.append(f"Ended early: {self.tally.reason}. To continue:\n  {command} --trials {self.tally.trials}")
        elif best is not None:
            if self.exhausted:
                lines.append(f"Ended: {self.tally.reason}.")
            elif not self.tally.ran:
                lines.append(f"All {self.tally.trials} trials asked for were already done; more --trials go on.")
            lines.append(_next_commands(self.folder, best, len(self.study.records), command))
        out.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def run_search(
    settings: SearchSettings, name: str | None, directory: Path, storage: str | None, download: bool, show: bool
) -> Outcome:
    """Load the data, open or continue the study, run the search.

    Raises:
        BsconvNasError: whatever of data, space, budget, study or machine does not allow it.
    """
    check_settings(settings)
    if name is not None:
        studies_folder(directory, name)
    warm_start = load_study(settings.warm_start, directory) if settings.warm_start else None
    plan = make_plan(settings, _load(settings, download, show), name)
    folder = studies_folder(directory, plan.name)
    plan = _measured(plan, folder, show)
    earlier = _earlier_records(folder, directory, storage)
    make_view = LiveView if err.is_terminal and show else PlainView if show else Tally
    view = make_view(err, settings.trials, plan.limits, earlier)
    executor = make_executor(
        plan.resources.workers,
        plan.resources.cpus_per_trial,
        plan.resources.gpus_per_trial,
        settings.ray_address,
        plan.data.nbytes,
        settings.max_retries,
    )

    def opened() -> None:
        _study_file(plan, storage).write(folder)
        if show:
            err.print(hanging(_header(plan, folder, earlier), err.width), highlight=False, markup=False)

    with view if isinstance(view, LiveView) else nullcontext():
        study = run_api(
            space=plan.space,
            evaluate=plan.evaluator,
            limits=plan.limits.bounds,
            sampler=plan.sampler,
            early_stopping=plan.early_stopping,
            references=settings.references,
            top1_floor=settings.top1_floor,
            warm_start=warm_start,
            trials=settings.trials,
            seed=settings.seed,
            storage=storage,
            study_name=plan.name,
            folder=folder,
            seconds=plan.seconds,
            epoch_timeout=plan.epoch_timeout,
            executor=executor,
            fixed=plan.facts,
            observer=view,
            on_open=opened,
        )
    return Outcome(study, folder, view)


def _load(settings: SearchSettings, download: bool, show: bool) -> ImageData:
    columns = (TextColumn("reading images"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not (show and err.is_terminal)) as bar:
        task = bar.add_task("", total=None)
        return load_data(settings, download, lambda done, total: bar.update(task, completed=done, total=total))


def _measured(plan: Plan, folder: Path, show: bool) -> Plan:
    columns = (TextColumn("measuring latencies"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not (show and err.is_terminal)) as bar:
        task = bar.add_task("", total=None)
        return with_latency(plan, folder, lambda done, total: bar.update(task, completed=done, total=total))


def _earlier_records(folder: Path, directory: Path, storage: str | None) -> list[TrialRecord]:
    try:
        study = load_study(str(folder), directory, storage)
        check_networks(study)  # a study of a space of one's own is refused when it is opened to search
        return study.records
    except StudyError:
        return []


def _header(plan: Plan, folder: Path, earlier: list[TrialRecord]) -> str:
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
        f"Space     {space_facts(plan.space, plan.limits)}",
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
    found = [f"{skipped} unreadable images were left out"] if skipped else []
    try:
        check_test_part(plan.settings.data)
    except DataError as error:  # a search needs no test part
        found.append(f"the final test will not be possible: {error}")
    return found + caveats(plan.data)


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


def _study_file(plan: Plan, storage: str | None) -> StudyFile:
    height, width = plan.data.image_size
    return StudyFile(
        schema_version=1,
        name=plan.name,
        storage=None if storage is None or has_password(storage) else storage,
        settings=plan.settings,
        resolved={
            "space": plan.space.name,
            "space_fingerprint": plan.space.fingerprint,
            "data": plan.data.name,
            "data_fingerprint": plan.data.fingerprint,
            "image_size": [height, width],
            "classes": list(plan.data.classes),
            "train_images": len(plan.data.train_images),
            "val_images": len(plan.data.val_images),
            "sampler": plan.sampler,
            **({} if plan.space.latency is None else {"latency": str(plan.space.latency)}),
            "training": plan.recipe.model_dump(),
        },
        provenance=provenance(),
    )


def _next_commands(folder: Path, best: TrialRecord, trials: int, command: str) -> str:
    study = shlex.quote(str(folder))
    return "\n".join(
        [
            "Next:",
            f"  bsconv-nas front {study}",
            f"  bsconv-nas profile {study} --trial {best.number}",
            f"  bsconv-nas export {study} --trial {best.number} --to {best.identity}",
            f"  {command} --trials {2 * trials}",
        ]
    )
