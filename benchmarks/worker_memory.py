"""Whether Ray workers share one copy of the images: memory of each, when all of them have trained on all images.

    python -m benchmarks.worker_memory [--data path/to/cifar10] [--workers 2 4]

The shared part of a worker's memory has the size of the data where there is one copy; PSS counts a page that n
processes share as 1/n in each, so the sum over the workers has the images at most once; private memory has none.
Without `--data`, a made-up data set of `--megabytes` is used. Needs Linux.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bsconv_nas.api import make_executor, search
from bsconv_nas.data import ImageData, load_search_data
from bsconv_nas.data.images import image_data
from bsconv_nas.engine.options import SearchOptions
from bsconv_nas.evaluation import EpochResult, Job
from bsconv_nas.plan import make_plan
from bsconv_nas.study.settings import SearchSettings, provenance
from bsconv_nas.train.evaluator import TrainingEvaluator
from bsconv_nas.train.recipe import Recipe

DEADLINE = 300  # seconds in which all workers must have come up and trained

# Of /proc/PID/smaps_rollup. Ray keeps its objects in shared memory: the images are in `pss_shared_memory_mb`.
FIELDS = {
    "rss_mb": ("Rss",),
    "pss_mb": ("Pss",),
    "shared_mb": ("Shared_Clean", "Shared_Dirty"),
    "pss_shared_memory_mb": ("Pss_Shmem",),
    "uss_mb": ("Private_Clean", "Private_Dirty"),
}


class MeasuredEvaluator(TrainingEvaluator):
    """Trains, waits until all workers have, and writes down the memory of its process while all of them live."""

    def __init__(self, data: ImageData, recipe: Recipe, folder: Path, workers: int) -> None:
        super().__init__(data, recipe)
        self.folder = folder
        self.workers = workers

    def run(self, job: Job) -> Iterator[EpochResult]:
        for array in self._arrays:
            array.sum()  # a short training alone would leave pages out
        results = list(super().run(job))
        self._meet("trained", {})
        self._meet("measured", memory(os.getpid()))
        yield from results

    def _meet(self, name: str, megabytes: dict[str, float]) -> None:
        """Leave what was found, and wait until all workers have."""
        part = self.folder / f"{os.getpid()}.part"
        part.write_text(json.dumps(megabytes))
        part.rename(self.folder / f"{os.getpid()}.{name}")
        begin = time.monotonic()
        while len(list(self.folder.glob(f"*.{name}"))) < self.workers:
            if time.monotonic() - begin > DEADLINE:
                raise TimeoutError(f"not all workers have {name} in {DEADLINE} s")
            time.sleep(0.1)


def made_up(megabytes: int) -> ImageData:
    """Random images of 32 px."""
    count = megabytes * 2**20 // (32 * 32 * 3)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    labels = rng.integers(0, 10, count, dtype=np.int64)
    return image_data("made up", images, labels, count - count // 100, tuple(map(str, range(10))), "")


def memory(process: int) -> dict[str, float]:
    """Megabytes of a process, by kind of memory."""
    kilobytes: dict[str, int] = {}
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, rest = line.partition(":")
        kilobytes[name] = int(rest.split()[0])
    return {part: sum(kilobytes.get(name, 0) for name in names) / 1024 for part, names in FIELDS.items()}


def measure(data: ImageData, workers: int) -> dict[str, Any]:
    """Memory of the workers of a search, one training in each."""
    settings = SearchSettings(trials=workers, epochs=1, train_fraction=0.002, workers=workers, space="cifar")
    plan = make_plan(settings, lambda _: data)
    with tempfile.TemporaryDirectory() as folder:
        evaluator = MeasuredEvaluator(data, plan.recipe, Path(folder), workers)
        options = SearchOptions(executor=make_executor(workers, data_bytes=data.nbytes))
        search(plan.space, evaluator, {"macs": 3e6}, "random", trials=workers, options=options)
        rows = [json.loads(path.read_text()) for path in Path(folder).glob("*.measured")]
    return {
        "workers": workers,
        "data_mb": round(data.nbytes / 2**20),
        "each": [{part: round(value) for part, value in row.items()} for row in rows],
        "sum": {part: round(sum(row[part] for row in rows)) for part in FIELDS},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="cifar10, or a folder of images")
    parser.add_argument("--megabytes", type=int, default=1000, help="of made-up images")
    parser.add_argument("--workers", type=int, nargs="*", default=[2, 4])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "worker_memory.json")
    arguments = parser.parse_args()
    data = load_search_data(arguments.data) if arguments.data else made_up(arguments.megabytes)
    runs = [measure(data, workers) for workers in arguments.workers]
    result = {"runs": runs, **provenance()}
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
