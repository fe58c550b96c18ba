"""Running a search from the command line."""

from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bsconv_nas import api
from bsconv_nas.cli.before_search import earlier_records, header, load_images, measure_latency
from bsconv_nas.cli.console import err, hanging
from bsconv_nas.cli.progress import LiveView, PlainView, Tally
from bsconv_nas.engine.options import SearchOptions
from bsconv_nas.plan import make_plan
from bsconv_nas.study import Study
from bsconv_nas.study.locate import load_study
from bsconv_nas.study.settings import SearchSettings


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


def run_search(
    settings: SearchSettings, name: str | None, directory: Path, storage: str | None, download: bool, show: bool
) -> Outcome:
    """Load the data, open or continue the study, run the search.

    Raises:
        BsconvNasError: whatever of data, space, budget, study or machine does not allow it.
    """
    warm_start = load_study(settings.warm_start, directory) if settings.warm_start else None
    plan = make_plan(settings, partial(load_images, download=download, show=show), name)
    folder = directory / plan.name
    plan = measure_latency(plan, folder, show)
    earlier = earlier_records(folder, directory, storage)
    make_view = LiveView if err.is_terminal and show else PlainView if show else Tally
    view = make_view(err, settings.trials, plan.limits, earlier)
    machine = plan.resources
    executor = api.make_executor(
        machine.workers,
        machine.cpus_per_trial,
        machine.gpus_per_trial,
        settings.ray_address,
        plan.data.nbytes,
        settings.max_retries,
    )

    def opened() -> None:
        plan.study_file(storage).write(folder)
        if show:
            err.print(hanging(header(plan, folder, earlier), err.width), highlight=False, markup=False)

    task = plan.task(folder, storage, SearchOptions(warm_start=warm_start, executor=executor, observer=view))
    with view if isinstance(view, LiveView) else nullcontext():
        study = api.run_search(task, opened)
    return Outcome(study, folder, view)
