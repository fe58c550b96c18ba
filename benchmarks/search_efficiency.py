"""Trainings that each sampler needs for a good front, on real trained networks and on made-up problems.

    python -m benchmarks.search_efficiency --tasks table-50 table-25 8 20 40 --seeds 10 --out benchmarks/results/x.json

Tasks are the table of trained networks with its limit at a per cent of the MACs, and synthetic problems by number of
genes. Measured is the hypervolume of the networks trained so far as a share of the best front's (`tasks.py`), with cost
on a logarithmic axis (see `CostAxis`). On the table "one training" has the same searches measured by the one training
of each network that they saw. `--early-stopping` adds runs of the samplers in `--stopped` with those rules, and counts
epochs: only complete trainings count for the front, all epochs count as spent. Peers are described in `peers.py`.

A sampler of your own is measured beside them: an Optuna sampler class or a function from a seed to a sampler.

    python -m benchmarks.search_efficiency --tasks 8 --seeds 2 --samplers random --sampler optuna.samplers:TPESampler
"""

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

import optuna

import bsconv_nas
from benchmarks.peers import PEERS, Peer, PeerFactory, imported
from benchmarks.tasks import TableTask, Task, tasks
from bsconv_nas.engine.early_stopping import EARLY_STOPPING
from bsconv_nas.errors import SpaceExhaustedError, UsageError
from bsconv_nas.evaluation import EpochResult, Job
from bsconv_nas.samplers import SAMPLERS
from bsconv_nas.spaces.genes import Genotype
from bsconv_nas.study.settings import provenance

MARKS = (25, 50, 100, 200)
SHARES = (0.90, 0.95, 0.99)
ONE_TRAINING = "one training"
USUAL = [name for name in PEERS if name not in ("gp repaired", "gp", "syne-tune mo-rea")]  # slow, and rarely installed


class Progress:
    """Share of the best hypervolume after each training."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._costs: list[float] = []
        self._accuracies: list[float] = []
        self.shares: list[float] = []

    def add(self, genotype: Genotype, complete: bool = True) -> None:
        costs = self._task.space.cost(genotype)
        if complete and self._task.limits.allow(costs):
            self._costs.append(costs["macs"])
            self._accuracies.append(self._task.true_top1(genotype))
        self.shares.append(round(self._task.front.share(self._costs, self._accuracies), 5))

    def after(self, trials: int) -> list[float]:
        """Shares after 1, 2, ... `trials` trainings; a search that ran out of networks stays where it is."""
        return self.shares + self.shares[-1:] * (trials - len(self.shares))


class _Measures:
    """Progress by what networks are worth and, where that is another, by the one training that the search saw."""

    def __init__(self, task: Task) -> None:
        self._all = {"shares": Progress(task)}
        if isinstance(task, TableTask):
            self._all[ONE_TRAINING] = Progress(task.by_one_training)

    def add(self, genotype: Genotype, complete: bool = True) -> None:
        for progress in self._all.values():
            progress.add(genotype, complete)

    def after(self, trials: int) -> dict[str, list[float]]:
        return {name: progress.after(trials) for name, progress in self._all.items()}


def run(task: Task, peer: Peer, trials: int, seed: int) -> dict[str, Any]:
    """One search: its progress, CPU seconds of a proposal, and the share of proposals over a limit or known."""
    progress = _Measures(task)
    seen: set[Genotype] = set()
    seconds, wasted, asked = 0.0, 0, 0
    for _ in range(trials):
        begin = time.process_time()
        try:
            genotype = peer.ask()
        except SpaceExhaustedError:  # all networks within the limit are trained: nothing is left to find
            break
        seconds += time.process_time() - begin
        peer.tell(genotype, task.curve(genotype, seed)[-1], task.space.cost(genotype)["macs"])
        wasted += not task.limits.allow(task.space.cost(genotype)) or genotype in seen
        seen.add(genotype)
        progress.add(genotype)
        asked += 1
    return {**progress.after(trials), "ask_seconds": seconds / asked, "wasted": wasted / asked}


class _Curves:
    """An evaluator that replays a task's curves."""

    def __init__(self, task: Task, seed: int) -> None:
        self.task = task
        self.seed = seed

    def run(self, job: Job) -> Iterator[EpochResult]:
        curve = self.task.curve(job.genotype, self.seed)
        for epoch, top1 in enumerate(curve, 1):
            yield EpochResult(epoch, len(curve), top1)


def run_with_epochs(task: Task, sampler: str, rule: str, trials: int, seed: int) -> dict[str, Any]:
    """One search with a rule of early stopping: progress, and epochs spent after each trial."""
    limits, curves = task.limits.bounds, _Curves(task, seed)
    study = bsconv_nas.search(
        task.space,
        curves,
        limits,
        sampler=sampler,
        trials=trials,
        seed=seed,
        options=bsconv_nas.SearchOptions(early_stopping=rule),
    )
    progress = _Measures(task)
    for record in study.records:
        progress.add(record.genotype, complete=record.top1 is not None)
    epochs = list(accumulate(len(record.curve) for record in study.records))
    return {**progress.after(trials), "epochs": epochs, "ask_seconds": 0.0, "wasted": 0.0}


def summary(runs: list[dict[str, Any]], trials: int, measure: str = "shares") -> dict[str, Any]:
    """Medians over runs; None where the median run did not get there."""
    medians: dict[str, Any] = {
        f"hv@{mark}": round(float(statistics.median(r[measure][mark - 1] for r in runs)), 4)
        for mark in MARKS
        if mark <= trials
    }
    for wanted in SHARES:
        medians[f"to {wanted:.0%}"] = median([reached(r[measure], wanted) for r in runs])
        if "epochs" in runs[0]:
            ends = [(reached(r[measure], wanted), r["epochs"]) for r in runs]
            medians[f"epochs to {wanted:.0%}"] = median([epochs[n - 1] if n else None for n, epochs in ends])
    medians["wasted"] = round(statistics.mean(r["wasted"] for r in runs), 3)
    medians["ask ms"] = round(1000 * statistics.mean(r["ask_seconds"] for r in runs), 1)
    return medians


def reached(shares: list[float], wanted: float) -> int | None:
    """The number of the first training after which there is a share of `wanted`; None if there is none."""
    return next((number for number, got in enumerate(shares, 1) if got >= wanted), None)


def median(counts: list[int | None]) -> int | None:
    """The median of counts, None standing for more than any."""
    middle = statistics.median_high([count or 10**9 for count in counts])
    return middle if middle < 10**9 else None


def behind_random(results: dict[str, Any]) -> list[int]:
    """Numbers of trainings, beyond 20, after which the median known-cost search has less than the median random one."""
    medians = {
        name: [statistics.median(shares) for shares in zip(*(r["shares"] for r in results[name]["runs"]), strict=True)]
        for name in ("known-cost", "random")
    }
    pairs = enumerate(zip(medians["known-cost"], medians["random"], strict=True), 1)
    return [number for number, (ours, random) in pairs if number > 20 and ours < random]


def measure(
    task_name: str, name: str, trials: int, seeds: range, peers: Mapping[str, PeerFactory] = PEERS
) -> dict[str, Any]:
    """All runs of a peer, or of a sampler with a rule of early stopping ("known-cost + asha"), on a task."""
    runs: list[dict[str, Any]] = []
    for seed in seeds:
        task = tasks(task_name, seed)
        if name in peers:
            runs.append(run(task, peers[name](task, seed), trials, seed))
        else:
            runs.append(run_with_epochs(task, *name.split(" + "), trials, seed))
    one = {ONE_TRAINING: summary(runs, trials, ONE_TRAINING)} if ONE_TRAINING in runs[0] else {}
    stored = [{name: value for name, value in each.items() if name != ONE_TRAINING} for each in runs]
    return {**summary(runs, trials), **one, "runs": stored}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=["table-50", "table-25", "8", "20", "40"])
    parser.add_argument("--samplers", nargs="*", choices=PEERS, default=USUAL)
    parser.add_argument(
        "--sampler",
        nargs="*",
        default=[],
        metavar="MODULE:NAME",
        help="samplers of your own: a class, made as Class(seed=...), or a function from a seed to a sampler",
    )
    parser.add_argument("--early-stopping", nargs="*", choices=EARLY_STOPPING, default=[])
    parser.add_argument("--stopped", nargs="*", choices=SAMPLERS, default=["known-cost"], help="samplers to stop")
    parser.add_argument("--seeds", type=int, default=10, help="runs per sampler, each with its own seed and problem")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        peers = {**PEERS, **{name: imported(name) for name in options.sampler}}
    except UsageError as error:
        parser.error(str(error))
    results: dict[str, Any] = {}
    if options.out and options.out.exists():
        results = json.loads(options.out.read_text())["results"]
    stopped = [f"{name} + {rule}" for name in options.stopped for rule in options.early_stopping]
    names = [*options.samplers, *options.sampler, *stopped]
    for task_name in options.tasks:
        for name in names:
            seeds = range(options.first, options.first + options.seeds)
            measured = measure(task_name, name, options.trials, seeds, peers)
            results.setdefault(task_name, {})[name] = measured
            numbers = (f"{key} {value}" for key, value in measured.items() if key != "runs")
            print(f"{task_name:8s}  {name:18s}", *numbers, sep="  ", flush=True)
            if options.out:
                _write(options.out, options, results)
        if {"known-cost", "random"} <= results[task_name].keys():
            behind = behind_random(results[task_name])
            print(f"{task_name:8s}  known-cost behind random after 20 trainings: {behind or 'never'}", flush=True)


def _write(path: Path, options: argparse.Namespace, results: dict[str, Any]) -> None:
    settings = {"seeds": options.seeds, "first": options.first, "trials": options.trials}
    data = {"schema_version": 3, "settings": settings, "provenance": provenance(), "results": results}
    path.write_text(json.dumps(data, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
