"""Tables about the reference networks: accuracies that the original library's authors published, and costs.

Costs are a table so that listing networks builds none; a test recomputes it.
"""

import csv
from functools import cache
from importlib import resources
from typing import NamedTuple


class PublishedResult(NamedTuple):
    """Accuracy of a reference network trained by the authors.

    `dataset` is "cifar10" or "cifar100", `top1` a fraction in [0, 1] of the test set; params and macs are exact.
    """

    dataset: str
    model: str
    top1: float
    params: int
    macs: int


@cache
def published_results() -> tuple[PublishedResult, ...]:
    """All 211 published accuracies, in the order of the original tables."""
    text = (resources.files("bsconv_nas.models") / "published.csv").read_text(encoding="utf-8")
    return tuple(
        PublishedResult(
            row["dataset"], row["model"], float(row["top1"]), params=int(row["params"]), macs=int(row["macs"])
        )
        for row in csv.DictReader(text.splitlines())
    )


class ModelCost(NamedTuple):
    """Parameters and MACs with 10 classes at 32 px (names with `cifar_`) or 1000 classes at 224 px."""

    params: int
    macs: int


@cache
def model_costs() -> dict[str, ModelCost]:
    """Cost of each of `known_models`, by name."""
    text = (resources.files("bsconv_nas.models") / "costs.csv").read_text(encoding="utf-8")
    return {row["model"]: ModelCost(int(row["params"]), int(row["macs"])) for row in csv.DictReader(text.splitlines())}
