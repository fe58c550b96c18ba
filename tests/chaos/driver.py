"""One life of a driver: a search that may be killed at any instant. `python -m tests.chaos.driver FOLDER TRIALS ...`"""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bsconv_nas.api import run_search
from bsconv_nas.base.files import write_atomic
from bsconv_nas.base.limits import Limits
from bsconv_nas.engine.options import SearchOptions
from bsconv_nas.engine.task import SearchTask
from bsconv_nas.evaluation import EpochResult, Job
from bsconv_nas.executors.local import LocalExecutor
from tests.searches import LIMITS, Epochs, table_space

EPOCHS = 3
_WIDTHS = range(1, 65)  # 768 networks


class Trains(Epochs):
    """Takes a while for each epoch, keeps a checkpoint, and writes weights at the end, as trainings do."""

    def __init__(self, seconds: float) -> None:
        super().__init__(EPOCHS, lambda job, epoch: time.sleep(seconds))

    def run(self, job: Job) -> Iterator[EpochResult]:
        for result in super().run(job):
            if result.final and job.weights is not None:
                write_atomic(job.weights, weights_of(job))
            yield result


def weights_of(job: Job) -> str:
    """What stands for the weights of a network."""
    return repr((job.number, job.genotype, job.seed))


def live(
    folder: Path,
    trials: int,
    workers: int = 0,
    sampler: str = "tpe",
    seconds: float = 0.0,
    address: str = "",
    on_open: Callable[[], None] | None = None,
) -> int:
    """Search to the end, or until killed; the number of trials. For more than 50 the space is a larger one."""
    space = table_space(_WIDTHS) if trials > 50 else table_space()
    if workers:
        from bsconv_nas.executors.ray_tune import RayExecutor

        executor = RayExecutor(workers, address=address or None, max_retries=20)
    else:
        executor = LocalExecutor()
    options = SearchOptions(executor=executor)
    task = SearchTask(space, Trains(seconds), Limits(LIMITS), sampler, trials, 0, space.name, None, folder, options)
    return len(run_search(task, on_open).records)


if __name__ == "__main__":
    place, count, parallel, name, pause, *cluster = sys.argv[1:]
    print(live(Path(place), int(count), int(parallel), name, float(pause), *cluster))  # noqa: T201
