"""Trainings that each sampler needs for a good front, on synthetic problems.

    python -m benchmarks.search_efficiency --genes 8 20 40 --seeds 5 --out benchmarks/results/search_efficiency.json

Measured is the hypervolume of the networks trained so far, with their noise-free accuracies, as a share of the best
known front's. Its reference is the limit and the accuracy of the smallest network on that front which learned
anything, with cost on a logarithmic axis (see `CostAxis`). Stock samplers run in a plain Optuna study that is told the
constraint; they have no way to refuse a network, so each of their proposals counts as a training, over the limit or
known as it may be. Repaired ones and known-cost only ever train new networks within the limit.
"""

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler, NSGAIISampler, TPESampler

from benchmarks.synthetic import CHANCE, Problem
from benchmarks.true_front import true_front
from bsconv_nas.limits import Limits
from bsconv_nas.pareto import CostAxis, hypervolume
from bsconv_nas.samplers import make_sampler
from bsconv_nas.space import GeneSpace, Genotype
from bsconv_nas.study.settings import provenance

MARKS = (25, 50, 100, 200)
SHARES = (0.90, 0.95, 0.99)

SAMPLERS: dict[str, Callable[[GeneSpace, Limits, int], BaseSampler]] = {
    "known-cost": lambda space, limits, seed: make_sampler("known-cost", space, limits, seed),
    "random": lambda space, limits, seed: make_sampler("random", space, limits, seed),
    "tpe repaired": lambda space, limits, seed: make_sampler("tpe", space, limits, seed),
    "nsga2 repaired": lambda space, limits, seed: make_sampler("nsga2", space, limits, seed),
    "tpe": lambda space, limits, seed: TPESampler(seed=seed),
    "nsga2": lambda space, limits, seed: NSGAIISampler(seed=seed),
}


class Task:
    """A problem as a space, with its limits and the measure of a run."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.limits = Limits({"macs": problem.limit})
        self._index = [{choice: i for i, choice in enumerate(choices)} for choices in problem.choices.values()]
        self.space = GeneSpace(problem.choices, cost=lambda genotype: {"macs": self.macs(genotype)})
        costs, errors = true_front(problem)
        self.axis = CostAxis(float(costs[0]), problem.limit)
        self.floor = 1 - float(max(errors[errors < 1 - CHANCE - 1e-9]))
        self.best = self.volume(list(costs), list(1 - errors))

    def codes(self, genotype: Genotype) -> tuple[int, ...]:
        return tuple(index[choice] for index, choice in zip(self._index, genotype, strict=True))

    def macs(self, genotype: Genotype) -> float:
        return float(self.problem.macs(np.array([self.codes(genotype)]))[0])

    def true_top1(self, genotype: Genotype) -> float:
        return 1 - float(self.problem.error(np.array([self.codes(genotype)]))[0])

    def volume(self, costs: list[float], accuracies: list[float]) -> float:
        return hypervolume([self.axis.position(cost) for cost in costs], accuracies, 1.0, self.floor)


@cache
def task(genes: int, instance: int) -> Task:
    return Task(Problem(genes, instance))


def run(what: Task, sampler: BaseSampler, trials: int, seed: int) -> dict[str, Any]:
    """Shares of the best hypervolume after each training, and what proposals cost."""
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    costs: list[float] = []
    accuracies: list[float] = []
    shares: list[float] = []
    seen: set[Genotype] = set()
    seconds, wasted = 0.0, 0
    for _ in range(trials):
        begin = time.process_time()
        trial = study.ask()
        genotype = tuple(trial.suggest_categorical(gene.name, gene.choices) for gene in what.space.genes)
        seconds += time.process_time() - begin
        macs = what.macs(genotype)
        trial.set_constraint("macs", macs - what.problem.limit)
        study.tell(trial, [what.problem.trained(what.codes(genotype), seed), macs])
        wasted += macs > what.problem.limit or genotype in seen
        seen.add(genotype)
        if macs <= what.problem.limit:
            costs.append(macs)
            accuracies.append(what.true_top1(genotype))
        shares.append(what.volume(costs, accuracies) / what.best)
    return {"shares": [round(share, 5) for share in shares], "ask_seconds": seconds / trials, "wasted": wasted / trials}


def summary(runs: list[dict[str, Any]], trials: int) -> dict[str, Any]:
    """Medians over runs; None where the median run did not get there."""
    found: dict[str, Any] = {
        f"hv@{mark}": round(statistics.median(r["shares"][mark - 1] for r in runs), 4)
        for mark in MARKS
        if mark <= trials
    }
    for share in SHARES:
        needed = sorted(next((i for i, s in enumerate(r["shares"], 1) if s >= share), 10**9) for r in runs)
        median = statistics.median_high(needed)
        found[f"to {share:.0%}"] = median if median < 10**9 else None
    found["wasted"] = round(statistics.mean(r["wasted"] for r in runs), 3)
    found["ask ms"] = round(1000 * statistics.mean(r["ask_seconds"] for r in runs), 1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--genes", type=int, nargs="+", default=[8, 20, 40])
    parser.add_argument("--samplers", nargs="+", choices=SAMPLERS, default=list(SAMPLERS))
    parser.add_argument("--seeds", type=int, default=5, help="runs per sampler, each on its own problem and seed")
    parser.add_argument("--first", type=int, default=0, help="number of the first problem")
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    results: dict[str, Any] = {}
    for genes in given.genes:
        for name in given.samplers:
            runs: list[dict[str, Any]] = []
            for number in range(given.first, given.first + given.seeds):
                what = task(genes, number)
                sampler = SAMPLERS[name](what.space, what.limits, number)
                runs.append(run(what, sampler, given.trials, number))
            found = summary(runs, given.trials)
            results.setdefault(str(genes), {})[name] = {**found, "runs": runs}
            print(
                f"{genes:3d} genes  {name:15s}",
                *(f"{key} {value}" for key, value in found.items()),
                sep="  ",
                flush=True,
            )
            if given.out:
                settings = {key: value for key, value in vars(given).items() if key != "out"}
                data = {"schema_version": 1, "settings": settings, "provenance": provenance(), "results": results}
                given.out.write_text(json.dumps(data, indent=None, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
