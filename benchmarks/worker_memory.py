"""Whether Ray workers share one copy of the images: memory of each while a search runs.

    python -m benchmarks.worker_memory [--data path/to/cifar10] [--workers 2 4]

Each worker reads all images before it trains, so that all of them are in its memory. The shared part of a worker's
memory then has the size of the data, where it is one copy; PSS counts a page that n processes share as 1/n in each, so
the sum over the workers has the images at most once; private memory has none. Without `--data`, a made-up data set of
`--megabytes` is used.
"""

import argparse
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bsconv_nas.api import make_executor, search
from bsconv_nas.data import ImageData, load_search_data
from bsconv_nas.data.images import image_data
from bsconv_nas.evaluation import EpochResult, Job
from bsconv_nas.plan import make_plan
from bsconv_nas.study.settings import SearchSettings, provenance
from bsconv_nas.train.evaluator import TrainingEvaluator

# Of /proc/PID/smaps_rollup: whole memory, and the part in shared memory, where Ray keeps its objects.
_FIELDS = {
    "rss_mb": ("Rss",),
    "pss_mb": ("Pss",),
    "shared_mb": ("Shared_Clean", "Shared_Dirty"),
    "pss_shared_memory_mb": ("Pss_Shmem",),
    "uss_mb": ("Private_Clean", "Private_Dirty"),
}


class ReadingEvaluator(TrainingEvaluator):
    """Reads every image before each training; a short one would leave pages out."""

    def run(self, job: Job) -> Iterator[EpochResult]:
        for array in self._arrays:
            array.sum()
        yield from super().run(job)


def made_up(megabytes: int) -> ImageData:
    """Random images of 32 px."""
    count = megabytes * 2**20 // (32 * 32 * 3)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    labels = rng.integers(0, 10, count, dtype=np.int64)
    return image_data("made up", images, labels, count * 9 // 10, tuple(map(str, range(10))), "")


def trainers(root: int) -> list[int]:
    """Processes below `root` that are Ray workers in the middle of a training."""
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            title = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if title.startswith("ray::") and "IDLE" not in title and root in ancestors(int(folder.name)):
            found.append(int(folder.name))
    return found


def ancestors(process: int) -> set[int]:
    """All processes above one."""
    found: set[int] = set()
    while process > 1 and process not in found:
        found.add(process)
        try:
            stat = Path(f"/proc/{process}/stat").read_text()
        except OSError:
            break
        process = int(stat.rpartition(")")[2].split()[1])
    return found


def memory(process: int) -> dict[str, float]:
    """Megabytes of a process, by kind of memory."""
    found: dict[str, int] = {}
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, rest = line.partition(":")
        found[name] = int(rest.split()[0])
    return {kind: sum(found.get(name, 0) for name in names) / 1024 for kind, names in _FIELDS.items()}


class Watch(threading.Thread):
    """Looks all the time, and keeps the moment at which most workers were training and held most memory."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.ended = threading.Event()
        self.most: list[dict[str, float]] = []

    def run(self) -> None:
        while not self.ended.wait(0.5):
            try:
                found = [memory(process) for process in trainers(os.getpid())]
            except OSError:
                continue  # one ended while it was looked at
            if (len(found), _sum(found, "rss_mb")) > (len(self.most), _sum(self.most, "rss_mb")):
                self.most = found


def _sum(rows: list[dict[str, float]], key: str) -> float:
    return sum(row[key] for row in rows)


def measure(data: ImageData, workers: int, trials: int) -> dict[str, Any]:
    """Memory of the workers while they train."""
    settings = SearchSettings(trials=trials, epochs=1, train_fraction=0.02, workers=workers, space="cifar")
    plan = make_plan(settings, data)
    evaluator = ReadingEvaluator(data, plan.recipe)
    watch = Watch()
    watch.start()
    begin = time.perf_counter()
    executor = make_executor(workers, 1, data_bytes=data.nbytes)
    study = search(plan.space, evaluator, {"macs": 3e6}, "random", trials=trials, executor=executor)
    watch.ended.set()
    watch.join()
    return {
        "workers": workers,
        "workers_seen_training": len(watch.most),
        "data_mb": round(data.nbytes / 2**20),
        "each": [{key: round(value) for key, value in row.items()} for row in watch.most],
        "sum": {key: round(_sum(watch.most, key)) for key in _FIELDS},
        "trials_completed": sum(record.top1 is not None for record in study.records),
        "seconds": round(time.perf_counter() - begin, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="cifar10, or a folder of images")
    parser.add_argument("--megabytes", type=int, default=1000, help="of made-up images")
    parser.add_argument("--workers", type=int, nargs="*", default=[2, 4])
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "worker_memory.json")
    given = parser.parse_args()
    data = load_search_data(given.data) if given.data else made_up(given.megabytes)
    runs = [measure(data, workers, given.trials) for workers in given.workers]
    result = {"runs": runs, **provenance()}
    given.out.parent.mkdir(exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
