"""What a long search costs its driver: CPU per trial, memory, disk, and the time to take it up again.

    python benchmarks/scale.py [--trials 10000] [--workers 1 8 64] [--out benchmarks/results/scale.json]

The whole stack but the training: networks of the cifar space proposed by the random sampler, costed, stored in SQLite
in a study's folder, every epoch reported, the front kept. Workers are simulated: so many trials are under way at a
time, and each in turn reports an epoch with a made-up accuracy. The sampler's share is measured apart, because samplers
differ. Taking up is measured in a fresh process: from opening the study to the first job.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Any

from bsconv_nas.base.limits import Limits
from bsconv_nas.engine.search import Search
from bsconv_nas.evaluation import EpochResult, Job
from bsconv_nas.samplers import SpaceSampler, make_sampler
from bsconv_nas.spaces.files import find_space
from bsconv_nas.spaces.networks import ArchSpace
from bsconv_nas.study import Front, Study
from bsconv_nas.study.settings import provenance
from bsconv_nas.study.storage import open_storage, sqlite_url

EPOCHS = 8
LIMITS = Limits({"macs": 20e6})


def make_search(folder: Path, trials: int) -> Search:
    space = ArchSpace(find_space("cifar"), (32, 32), 10)
    folder.mkdir(exist_ok=True)
    study = Study.open(open_storage(sqlite_url(folder / "study.db")), "scale", space, LIMITS, 0, {}, folder)
    return Search(study, space, make_sampler("random", space, LIMITS, 0), trials)


class Clock:
    """CPU seconds spent in a sampler's proposals."""

    def __init__(self, sampler: SpaceSampler) -> None:
        self.seconds = 0.0
        self._propose = sampler.propose
        sampler.propose = self._timed  # type: ignore[method-assign]

    def _timed(self, *arguments: Any) -> Any:
        begin = time.process_time()
        try:
            return self._propose(*arguments)
        finally:
            self.seconds += time.process_time() - begin


def run(folder: Path, trials: int, workers: int) -> dict[str, float]:
    """Run a search of so many trials and leave one of them unfinished."""
    search = make_search(folder, trials)
    clock, begin, rss = Clock(search.sampler), time.process_time(), _rss()
    under_way: deque[tuple[Job, int]] = deque()
    last = 0.0
    while True:
        while len(under_way) < workers and (job := search.next()) is not None:
            under_way.append((job, 0))
            if job.number == trials - trials // 10:
                last = time.process_time() - clock.seconds
        if not under_way or search.study.count == trials == under_way[0][0].number + 1:
            break
        job, epoch = under_way.popleft()
        search.report(job.number, EpochResult(epoch + 1, EPOCHS, _top1(job, epoch + 1), {"seconds": 1.0}))
        if epoch + 1 == EPOCHS:
            search.finish(job.number)
        else:
            under_way.append((job, epoch + 1))
    used = time.process_time() - begin - clock.seconds
    tail = time.process_time() - clock.seconds - last
    return {
        "driver_cpu_ms_per_trial": round(1e3 * used / trials, 2),
        "driver_cpu_ms_per_trial_last_tenth": round(1e3 * tail / (trials // 10), 2),
        "sampler_cpu_ms_per_trial": round(1e3 * clock.seconds / trials, 2),
        "memory_growth_mb": round(_rss() - rss),
        "memory_peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "database_mb": round(sum(f.stat().st_size for f in folder.glob("study.db*")) / 1e6, 1),
        "front_update_us": round(_front_update_us(search.study), 1),
    }


def take_up(folder: Path, trials: int) -> dict[str, float]:
    """Open a study that was left and take up its first job."""
    wall, cpu = time.perf_counter(), time.process_time()
    search = make_search(folder, trials)
    job = search.next()
    assert job is not None
    return {
        "resume_s": round(time.perf_counter() - wall, 2),
        "resume_cpu_s": round(time.process_time() - cpu, 2),
        "resume_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def _front_update_us(study: Study) -> float:
    front, records = Front(LIMITS), study.records
    begin = time.process_time()
    for record in records:
        front.add(record)
    return 1e6 * (time.process_time() - begin) / max(1, len(records))


def _top1(job: Job, epoch: int) -> float:
    noise = random.Random(job.seed).random()
    return min(0.99, 0.3 + 0.5 * noise) * epoch / EPOCHS


def _rss() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def _in_fresh_process(part: str, folder: Path, trials: int, workers: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--part", part, "--folder", str(folder), "--trials", str(trials)]
    done = subprocess.run([*command, "--workers", str(workers)], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--out", type=Path, help="file for the results; they are printed in any case")
    parser.add_argument("--part", choices=["run", "take_up"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part == "run":
        print(json.dumps(run(options.folder, options.trials, options.workers[0])))
        return
    if options.part == "take_up":
        print(json.dumps(take_up(options.folder, options.trials)))
        return
    result: dict[str, Any] = {"trials": options.trials, "epochs": EPOCHS, "workers": {}}
    for workers in options.workers:
        with tempfile.TemporaryDirectory() as directory:
            folder = Path(directory) / "study"
            parts = [_in_fresh_process(part, folder, options.trials, workers) for part in ("run", "take_up")]
        result["workers"][str(workers)] = {**parts[0], **parts[1]}
        print(json.dumps(result["workers"][str(workers)]), file=sys.stderr)
    text = json.dumps({**result, "provenance": provenance()}, indent=1) + "\n"
    if options.out is not None:
        options.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
