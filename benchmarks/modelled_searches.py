"""Searches of the cifar space whose accuracies a model of real trainings gives: what would take days, in seconds.

    python -m benchmarks.modelled_searches --studies studies/one studies/two --seeds 4 --trials 36

The model is the sampler's own, fitted to all trainings of the studies; a search sees its mean with noise. Where no
study went it is what the traits let expect, so read from it how searches spend their trainings, not how good networks
are.

Measured, by number of trainings and as means over seeds: the area of the front above `--floor` as a share of the whole
one (MACs on a logarithmic axis), and the best accuracy within each budget.
"""

import argparse
import json
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy_traits import Trainings
from bsconv_nas import search
from bsconv_nas.networks.traits import EXPECTED
from bsconv_nas.pareto import CostAxis, hypervolume
from bsconv_nas.samplers.model import Model
from bsconv_nas.spaces.genes import Genotype
from bsconv_nas.spaces.networks import ArchSpace
from bsconv_nas.study.locate import load_study

MARKS = (8, 12, 20, 36, 48)
BUDGETS = (1e6, 3e6, 6e6)
Result = tuple[float, float]  # MACs, accuracy without noise


def accuracy_model(trainings: Trainings) -> Callable[[Genotype], float]:
    """Accuracy by genotype, as the sampler's model has it after all trainings."""
    predictor = Model(trainings.encoder).predictor(trainings.trials(), trainings.points())
    assert predictor is not None
    return lambda genotype: 1 - math.exp(float(predictor.mean([trainings.encoder.point(genotype)])[0]))


def searched(
    space: ArchSpace,
    accuracy: Callable[[Genotype], float],
    sampler: str,
    flops: float,
    trials: int,
    noise: float,
    seed: int,
) -> list[Result]:
    """One search, in order of its trainings."""
    rng = random.Random(seed)
    study = search(
        space,
        lambda genotype: min(1.0, max(0.0, accuracy(genotype) + rng.gauss(0, noise))),
        {"macs": flops},
        sampler,
        trials=trials,
        seed=seed,
    )
    return [(record.cost["macs"], accuracy(record.genotype)) for record in study.records]


def area(results: Sequence[Result], axis: CostAxis, floor: float) -> float:
    """Area under the front and above the floor, as a share of that under an accuracy of 1."""
    positions = [axis.position(macs) for macs, _ in results]
    return hypervolume(positions, [top1 for _, top1 in results], 1.0, floor) / (1 - floor)


def summary(runs: Sequence[Sequence[Result]], axis: CostAxis, floor: float) -> dict[str, Any]:
    """Means over runs after each of `MARKS` trainings that there were; a budget that nothing met counts as 0."""
    by_mark: dict[str, Any] = {}
    for mark in (mark for mark in MARKS if mark <= len(runs[0])):
        first = [run[:mark] for run in runs]
        best = {f"best within {budget / 1e6:g}M": [_best(run, budget) for run in first] for budget in BUDGETS}
        values = {"area": [area(run, axis, floor) for run in first], **best}
        by_mark[str(mark)] = {name: round(float(np.mean(v)), 4) for name, v in values.items()}
    return by_mark


def _best(results: Sequence[Result], budget: float) -> float:
    return max((top1 for macs, top1 in results if macs <= budget), default=0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--studies", type=Path, nargs="+", required=True, help="of the cifar space at 32 px, 10 classes"
    )
    parser.add_argument("--flops", type=float, default=6e6, help="limit of the studies and the searches")
    parser.add_argument("--samplers", nargs="+", default=["known-cost"])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--trials", type=int, default=36)
    parser.add_argument("--noise", type=float, default=0.008, help="deviation of an accuracy")
    parser.add_argument("--floor", type=float, default=0.42)
    arguments = parser.parse_args()
    trainings = Trainings(EXPECTED, [load_study(str(folder)) for folder in arguments.studies], arguments.flops)
    accuracy, axis = accuracy_model(trainings), trainings.axis
    for sampler in arguments.samplers:
        common = (sampler, arguments.flops, arguments.trials, arguments.noise)
        runs = [searched(trainings.space, accuracy, *common, seed) for seed in range(arguments.seeds)]
        print(json.dumps({sampler: summary(runs, axis, arguments.floor)}), flush=True)


if __name__ == "__main__":
    main()
