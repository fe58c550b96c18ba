"""The accuracies that the authors of the original bsconv library published for the reference networks."""

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
    text = (resources.files("bsconv_nas") / "models" / "published.csv").read_text(encoding="utf-8")
    return tuple(
        PublishedResult(
            row["dataset"], row["model"], float(row["top1"]), params=int(row["params"]), macs=int(row["macs"])
        )
        for row in csv.DictReader(text.splitlines())
    )
