"""Costs of the known reference networks as a table, so that listing them builds none; a test recomputes it."""

import csv
from functools import cache
from importlib import resources
from typing import NamedTuple


class ModelCost(NamedTuple):
    """Parameters and MACs with 10 classes at 32 px (names with `cifar_`) or 1000 classes at 224 px."""

    params: int
    macs: int


@cache
def model_costs() -> dict[str, ModelCost]:
    """Cost of each of `known_models`, by name."""
    text = (resources.files("bsconv_nas.models") / "costs.csv").read_text(encoding="utf-8")
    return {row["model"]: ModelCost(int(row["params"]), int(row["macs"])) for row in csv.DictReader(text.splitlines())}
