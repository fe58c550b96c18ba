"""Whether Ray workers share one copy of the images: memory of each while a search runs.

    python -m benchmarks.worker_memory [--data path/to/cifar10] [--workers 4]

PSS counts a page that n processes share as 1/n in each, so the sum over workers has the images once where they are
shared; USS is what a worker holds alone. Without `--data`, a made-up data set of `--megabytes` is used.
"""

import argparse
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from bsconv_nas.api import make_executor, search
from bsconv_nas.data import ImageData, load_search_data
from bsconv_nas.data.images import image_data
from bsconv_nas.plan import make_plan
from bsconv_nas.study.settings import SearchSettings, provenance


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
    """Megabytes of a process: resident, proportional, private."""
    fields = {"Rss": 0, "Pss": 0, "Private_Clean": 0, "Private_Dirty": 0}
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in fields:
            fields[name] = int(rest.split()[0])
    private = fields["Private_Clean"] + fields["Private_Dirty"]
    return {"rss_mb": fields["Rss"] / 1024, "pss_mb": fields["Pss"] / 1024, "uss_mb": private / 1024}


class Watch(threading.Thread):
    """Looks every second, and keeps the moment at which the workers' private memory was largest."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.ended = threading.Event()
        self.most: list[dict[str, float]] = []

    def run(self) -> None:
        while not self.ended.wait(1):
            try:
                found = [memory(process) for process in trainers(os.getpid())]
            except OSError:
                continue  # one ended while it was looked at
            if (len(found), _sum(found, "uss_mb")) > (len(self.most), _sum(self.most, "uss_mb")):
                self.most = found


def _sum(rows: list[dict[str, float]], key: str) -> float:
    return sum(row[key] for row in rows)


def measure(data: ImageData, workers: int, trials: int) -> dict[str, Any]:
    """Memory of the workers while they train."""
    settings = SearchSettings(trials=trials, epochs=1, train_fraction=0.2, workers=workers, space="cifar")
    plan = make_plan(settings, data)
    watch = Watch()
    watch.start()
    begin = time.perf_counter()
    executor = make_executor(workers, 1 if workers <= (os.cpu_count() or 1) else 0.25, data_bytes=data.nbytes)
    search(plan.space, plan.evaluator, {"macs": 3e6}, "random", trials=trials, executor=executor)
    watch.ended.set()
    watch.join()
    rows = [{key: round(value) for key, value in row.items()} for row in watch.most]
    return {
        "workers": workers,
        "data_mb": round(data.nbytes / 2**20),
        "each": rows,
        "sum_pss_mb": sum(row["pss_mb"] for row in rows),
        "largest_private_mb": max((row["uss_mb"] for row in rows), default=None),
        "seconds": round(time.perf_counter() - begin, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="cifar10, or a folder of images")
    parser.add_argument("--megabytes", type=int, default=1000, help="of made-up images")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "worker_memory.json")
    given = parser.parse_args()
    data = load_search_data(given.data) if given.data else made_up(given.megabytes)
    result = {**measure(data, given.workers, given.trials), **provenance()}
    given.out.parent.mkdir(exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
