"""How accuracy follows the traits of networks: slopes, and what few trainings predict with them and without.

    python -m benchmarks.accuracy_traits --studies studies/one studies/two --of studies/three

Slopes are those of a regression of log errors, in their deviations, on all traits: for networks of the table (those of
the most MACs, up to the median, of the lowest quarter) and of the studies. Predictions are those of the sampler's model
from so many random networks of `--studies`, for the others there and for those of `--of`: Kendall's tau and the share
of the variance of the log errors that is explained, with nothing expected, with what is set, and with the slopes of the
table's cheaper half, which the studies had no part in. Means of 16 draws.
"""

import argparse
import json
import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import kendalltau

from benchmarks.tables.table import Table, table_space
from bsconv_nas.base.limits import Limits
from bsconv_nas.networks.traits import EXPECTED
from bsconv_nas.samplers.encoding import Encoder, Point
from bsconv_nas.samplers.known_cost import KnownCostSampler
from bsconv_nas.samplers.model import Model
from bsconv_nas.spaces.files import find_space
from bsconv_nas.spaces.networks import ArchSpace
from bsconv_nas.study import Study
from bsconv_nas.study.locate import load_study
from bsconv_nas.study.settings import provenance

SIZES = (4, 8, 20, 36)
DRAWS = 16
Network = tuple[dict[str, float], float]  # traits, accuracy


def slopes(networks: Sequence[Network]) -> dict[str, Any]:
    """Slope and standard error of each trait, and the share of the variance that they explain together."""
    traits = np.array([[traits[name] for name in EXPECTED] for traits, _ in networks])
    errors = np.log([1 - top1 for _, top1 in networks])
    traits, errors = traits - traits.mean(0), (errors - errors.mean()) / errors.std()
    fitted, *_ = np.linalg.lstsq(traits, errors, rcond=None)
    rest = errors - traits @ fitted
    variance = float(rest @ rest) / (len(rest) - len(fitted) - 1)
    deviations = np.sqrt(np.diag(np.linalg.inv(traits.T @ traits)) * variance)
    pairs = zip(EXPECTED, fitted.tolist(), deviations.tolist(), strict=True)
    explained = round(1 - float(np.mean(rest**2)), 3)
    return {name: [round(slope, 2), round(error, 2)] for name, slope, error in pairs} | {"explained": explained}


def of_table() -> dict[str, list[Network]]:
    """The table's networks by part: what they are worth, by all their trainings on all unseen images."""
    table, space = Table.read(), table_space()
    first = [row for row in table.rows if row.seed == 0]
    half, quarter = np.quantile([row.macs for row in first], [0.5, 0.25])
    parts = {"most MACs": (half, math.inf), "up to the median": (0, half), "lowest quarter": (0, quarter)}
    return {
        name: [(space.traits(r.genotype), table.unseen_top1(r.genotype)) for r in first if least < r.macs <= most]
        for name, (least, most) in parts.items()
    }


class Trainings:
    """Trainings of studies in the cifar space, as the sampler's model sees them.

    Args:
        expected: see `GeneSpace`.
        studies: searches within that limit.
        flops: their limit in MACs.
    """

    def __init__(self, expected: Mapping[str, float], studies: Sequence[Study], flops: float) -> None:
        self.space = ArchSpace(find_space("cifar"), (32, 32), 10)
        self.space.expected = expected
        limits = Limits({"macs": flops})
        sampler = KnownCostSampler(self.space, limits, seed=0)
        self.axis = sampler.axis
        self.encoder = Encoder(self.space, self.axis, "macs", limits, sampler.feasible.cheapest)
        records = [record for study in studies for record in study.records]
        self.done = [(self.space.canonical(r.genotype), r.top1) for r in records if r.top1 is not None]

    @property
    def networks(self) -> list[Network]:
        return [(self.space.traits(genotype), top1) for genotype, top1 in self.done]

    def points(self) -> list[Point]:
        return [self.encoder.point(genotype) for genotype, _ in self.done]

    def trials(self) -> list[FrozenTrial]:
        return [_trial(number, top1) for number, (_, top1) in enumerate(self.done)]


def _trial(number: int, top1: float) -> FrozenTrial:
    trial = optuna.trial.create_trial(state=TrialState.COMPLETE, values=[top1, 1.0])
    trial.number = number
    return trial


def predictions(seen: Trainings, others: Trainings) -> dict[int, list[float]]:
    """Tau and share of the variance by number of networks seen, for `others`; if that is `seen`, for its rest."""
    points, trials, other_points = seen.points(), seen.trials(), others.points()
    by_size: dict[int, list[float]] = {}
    for size in SIZES:
        draws: list[tuple[float, float]] = []
        for draw in range(DRAWS):
            order = random.Random(draw).sample(range(len(points)), len(points))
            known = order[:size]
            predictor = Model(seen.encoder).predictor([trials[i] for i in known], [points[i] for i in known])
            assert predictor is not None
            unseen = order[size:] if seen is others else range(len(others.done))
            errors = np.log([1 - others.done[i][1] for i in unseen])
            draws.append(_agreement(predictor.mean([other_points[i] for i in unseen]), errors))
        by_size[size] = [round(float(value), 2) for value in np.mean(draws, axis=0)]
    return by_size


def _agreement(mean: NDArray[np.float64], errors: NDArray[np.float64]) -> tuple[float, float]:
    tau, _ = kendalltau(mean, errors)
    return float(np.asarray(tau)), 1 - float(np.mean((mean - errors) ** 2) / errors.var())


def measure(studies: Sequence[Study], of: Sequence[Study], flops: float) -> dict[str, Any]:
    """Slopes of the table and of both groups of studies, and predictions from the first group."""
    tables = {f"table, {name}": slopes(networks) for name, networks in of_table().items()}
    if not studies:
        return {"slopes": tables}
    of_half = {name: tables["table, up to the median"][name][0] for name in EXPECTED}
    expectations: dict[str, dict[str, float]] = {"nothing": {}, "of the table": of_half, "as set": EXPECTED}
    groups = {"studies": studies, "of": of, "all": [*studies, *of]}
    of_groups = {name: slopes(Trainings({}, group, flops).networks) for name, group in groups.items() if group}
    predicted: dict[str, Any] = {}
    for label, expected in expectations.items():
        trainings = Trainings(expected, studies, flops)
        predicted[label] = {"the others": predictions(trainings, trainings)}
        if of:
            predicted[label]["of"] = predictions(trainings, Trainings(expected, of, flops))
    return {"slopes": tables | of_groups, "predictions": predicted}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=Path, nargs="*", default=[], help="of the cifar space at 32 px, 10 classes")
    parser.add_argument("--of", type=Path, nargs="*", default=[], help="studies to be predicted")
    parser.add_argument("--flops", type=float, default=6e6, help="limit of all of them")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    studies, of = ([load_study(str(folder)) for folder in folders] for folders in (arguments.studies, arguments.of))
    result = {**measure(studies, of, arguments.flops), **provenance()}
    print(json.dumps(result, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
