"""What predicts accuracy after long training: rank correlations of brief trainings, losses, MACs and traits with it.

    python -m benchmarks.long_truth_report

Truth is the accuracy of `long_truth.py`'s trainings on the test part (for the table's networks, on validation and test
part), as the mean over a network's seeds. The report has Kendall's tau-b with it and a 95 % interval (percentiles of
400 bootstrap samples of networks) over all networks, over those drawn at random, and over the third that is nearest to
the front of the long trainings. Slopes of the five traits are given for each length: log error in its own deviations
per unit of the trait, with standard errors. The curve of a long training is read at several epochs; its learning rate
is then still high, so this says less than a training that ends there.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from benchmarks.accuracy_traits import slopes
from benchmarks.long_truth import RESULTS, read_rows
from benchmarks.tables.table import TEST_IMAGES, VAL_IMAGES, Table, table_space
from bsconv_nas.networks.traits import EXPECTED
from bsconv_nas.study.settings import provenance

_DRAWS = 400
_LEAST = 8  # networks of a group that is reported


@dataclass(frozen=True, slots=True)
class LongTraining:
    """The long trainings of one network: means over its seeds, curves of the first one."""

    network: str
    group: str
    macs: int
    truth: float
    val_top1: tuple[float, ...]
    train_loss: tuple[float, ...]


def long_trainings(rows: Sequence[Mapping[str, str]], epochs: int, with_validation: bool) -> list[LongTraining]:
    """The networks whose training with seed 0 had so many epochs, in the order of the file."""
    of_length = [row for row in rows if int(row["epochs"]) == epochs]
    return [
        LongTraining(
            network=row["network"],
            group=row["group"],
            macs=int(row["macs"]),
            truth=mean(_truth(r, with_validation) for r in of_length if r["network"] == row["network"]),
            val_top1=_numbers(row["val_top1"]),
            train_loss=_numbers(row["train_loss"]),
        )
        for row in of_length
        if row["seed"] == "0"
    ]


def _truth(row: Mapping[str, str], with_validation: bool) -> float:
    test = float(row["test_top1"])
    if not with_validation:
        return test
    return (VAL_IMAGES * _numbers(row["val_top1"])[-1] + TEST_IMAGES * test) / (VAL_IMAGES + TEST_IMAGES)


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split()))


def nearest_third(trainings: Sequence[LongTraining]) -> list[int]:
    """Positions of the third of the networks that is nearest to the front of accuracy and MACs."""
    gaps = [max(other.truth for other in trainings if other.macs <= t.macs) - t.truth for t in trainings]
    return sorted(np.argsort(gaps, kind="stable")[: round(len(gaps) / 3)].tolist())


def agreement(predicted: Sequence[float], truth: Sequence[float]) -> list[float]:
    """Kendall's tau-b and the ends of its 95 % interval."""
    x, y, rng = np.array(predicted), np.array(truth), np.random.default_rng(0)
    draws = [_tau(x[rows], y[rows]) for rows in rng.integers(0, len(x), (_DRAWS, len(x)))]
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return [round(float(value), 2) for value in (_tau(x, y), low, high)]


def _tau(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    tau, _ = kendalltau(x, y)
    return float(np.asarray(tau))


def curve_predictors(trainings: Sequence[LongTraining], epochs: int) -> dict[str, list[float]]:
    """Accuracy and training loss of the long training itself, after 1, 2, 4, ... of its epochs."""
    predictors: dict[str, list[float]] = {}
    after = 1
    while after < epochs:
        predictors[f"validation after {after} of {epochs} epochs"] = [t.val_top1[after - 1] for t in trainings]
        predictors[f"training loss after {after} of {epochs} epochs"] = [-t.train_loss[after - 1] for t in trainings]
        after *= 2
    predictors[f"validation after {epochs} of {epochs} epochs"] = [t.val_top1[-1] for t in trainings]
    return predictors


def table_predictors(trainings: Sequence[LongTraining]) -> dict[str, list[float]]:
    """What the table and the traits say of these networks before any long training."""
    table, space = Table.read(), table_space()
    genotypes = [tuple(json.loads(training.network)) for training in trainings]
    rows = [table.row(genotype) for genotype in genotypes]
    traits = [space.traits(genotype) for genotype in genotypes]
    expected = [-sum(slope * values[name] for name, slope in EXPECTED.items()) for values in traits]
    return {
        "the table's training, 8 epochs": [row.val_top1[-1] for row in rows],
        "the table's training, 8 epochs, mean of seeds on all unseen images": list(map(table.unseen_top1, genotypes)),
        "after 2 of 8 epochs": [row.val_top1[1] for row in rows],
        "after 4 of 8 epochs": [row.val_top1[3] for row in rows],
        "MACs": [float(row.macs) for row in rows],
        "traits with the expected slopes": expected,
    }


def slopes_by_length(trainings: Sequence[LongTraining], traits: Callable[[str], dict[str, float]]) -> dict[str, Any]:
    """Slopes of the traits after 1, 2, 4, ... epochs of the long trainings, and at their end."""
    known = [traits(training.network) for training in trainings]
    result: dict[str, Any] = {}
    after = 1
    while after < len(trainings[0].val_top1):
        result[str(after)] = slopes([(t, x.val_top1[after - 1]) for t, x in zip(known, trainings, strict=True)])
        after *= 2
    result["truth"] = slopes([(t, training.truth) for t, training in zip(known, trainings, strict=True)])
    return result


def report(trainings: Sequence[LongTraining], predictors: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Agreement of each predictor with the truth, by group of networks."""
    groups = {
        "all": list(range(len(trainings))),
        "random": [i for i, training in enumerate(trainings) if training.group == "random"],
        "nearest third to the front": nearest_third(trainings),
    }
    return {
        name: {
            group: agreement([values[i] for i in rows], [trainings[i].truth for i in rows])
            for group, rows in groups.items()
            if len(rows) >= _LEAST
        }
        for name, values in predictors.items()
    } | {"networks": {group: len(rows) for group, rows in groups.items()}}


def table_report(path: Path, epochs: int) -> dict[str, Any]:
    """The report on the table's networks."""
    trainings = long_trainings(read_rows(path), epochs, with_validation=True)
    predictors = table_predictors(trainings) | curve_predictors(trainings, epochs)
    space = table_space()
    by_length = slopes_by_length(trainings, lambda network: space.traits(tuple(json.loads(network))))
    return {"epochs": epochs, "tau": report(trainings, predictors), "slopes": by_length}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=RESULTS / "long_truth_table.csv")
    parser.add_argument("--epochs", type=int, default=64, help="length of the trainings that are the truth")
    parser.add_argument("--out", type=Path, default=RESULTS / "long_truth.json")
    arguments = parser.parse_args()
    result = {"table": table_report(arguments.table, arguments.epochs), **provenance()}
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
