"""What a search costs beside training: idle time of workers, and time to propose and cost a network.

    python benchmarks/overhead.py [--trials 24] [--workers 2] [--out benchmarks/results/overhead.json]

The first part trains digits networks on Ray workers. From the first completion to the last start all workers should be
busy; the share of that time in which they neither train nor validate is the overhead (shipping jobs, building networks,
checkpoints, storing results, proposing). The second part measures the CPU time of one proposal, with its costs, its
repair and its storage, in a study that already has 20, 200 and 1000 trials of the cifar space.
"""

import argparse
import json
import random
import statistics
import tempfile
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import bsconv_nas
from bsconv_nas.api import make_executor
from bsconv_nas.base.limits import Limits
from bsconv_nas.engine.search import Search
from bsconv_nas.plan import make_plan
from bsconv_nas.samplers import SAMPLERS, make_sampler
from bsconv_nas.spaces.files import find_space
from bsconv_nas.spaces.networks import ArchSpace
from bsconv_nas.study import Study, TrialRecord
from bsconv_nas.study.settings import SearchSettings, provenance
from bsconv_nas.study.storage import open_storage, sqlite_url

SIZES = (20, 200, 1000)
REPEATS = 5


def worker_overhead(trials: int, workers: int) -> dict[str, float]:
    """Share of the workers' time not spent in training, between the first completion and the last start."""
    plan = make_plan(SearchSettings(trials=trials))
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        study = bsconv_nas.search(
            plan.space,
            plan.evaluator,
            {"macs": 300e6},
            "random",
            trials=trials,
            folder=Path(folder),
            options=bsconv_nas.SearchOptions(executor=make_executor(workers)),
        )
        wall = time.perf_counter() - started
    records = study.records
    begin = min(_seconds(record.completed) for record in records)
    end = max(_seconds(record.started) for record in records)
    busy = sum(_overlap(record, begin, end) for record in records)
    return {
        "trials": trials,
        "workers": workers,
        "wall_s": round(wall, 1),
        "measured_window_s": round(end - begin, 1),
        "seconds_per_trial": round(statistics.median(record.seconds for record in records), 2),
        "overhead_share": round(1 - busy / (workers * (end - begin)), 4),
    }


def proposal_times(sampler_name: str, sizes: tuple[int, ...]) -> dict[str, float]:
    """Median CPU milliseconds of one proposal, costed and stored, by size of the study."""
    space = ArchSpace(find_space("cifar"), (32, 32), 10)
    limits = Limits({"macs": 20e6})
    times: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        storage = open_storage(sqlite_url(Path(folder) / "study.db"))
        study = Study.open(storage, "overhead", space, limits, 0, {})
        search = Search(study, space, make_sampler("random", space, limits, 0), max(sizes) + 1)
        sampler = make_sampler(sampler_name, space, limits, 0)
        for before, size in pairwise((0, *sizes)):
            _fill(study, search, size - before - REPEATS)
            samples: list[float] = []
            for _ in range(REPEATS):
                begin = time.process_time()
                record = study.start(space, sampler)
                samples.append(time.process_time() - begin)
                study.complete(record, _accuracy(record))
            times[str(size)] = round(1e3 * statistics.median(samples), 1)
    return times


def _fill(study: Study, search: Search, count: int) -> None:
    for _ in range(count):
        record = study.start(search.space, search.sampler)
        study.complete(record, _accuracy(record))


def _accuracy(record: TrialRecord) -> float:
    """A made-up accuracy that grows with cost: proposals need a history, not a true one."""
    noise = random.Random(record.identity).gauss(0, 0.02)
    return min(0.99, max(0.1, 0.6 + 0.04 * (record.cost["macs"] / 1e6) ** 0.7 + noise))


def _overlap(record: TrialRecord, begin: float, end: float) -> float:
    done = _seconds(record.completed)
    return max(0.0, min(done, end) - max(done - record.seconds, begin))


def _seconds(moment: datetime | None) -> float:
    assert moment is not None
    return moment.timestamp()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--samplers", nargs="*", default=[name for name in SAMPLERS if name != "gp"])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "overhead.json")
    options = parser.parse_args()
    result = {
        "workers": worker_overhead(options.trials, options.workers),
        "proposal_cpu_ms": {name: proposal_times(name, SIZES) for name in options.samplers},
        "provenance": provenance(),
    }
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
