"""Studies of a space of one's own, whose only costs are `energy`, which becomes low, and `latency_ms`."""

from pathlib import Path
from typing import Any

from bsconv_nas.api import search
from bsconv_nas.spaces.genes import GeneSpace, Genotype
from bsconv_nas.study import Study

GENES = {"width": [1, 2, 3, 4], "depth": [1, 2, 3], "<b>[red]": ["U", "S"], "wide": [False, True]}


def costs(genotype: Genotype) -> dict[str, float]:
    width, depth, _, wide = genotype
    energy = float(width) * float(depth) * (2 if wide else 1)
    return {"energy": energy, "latency_ms": 10 - energy / 5}


def accuracy(genotype: Genotype) -> float:
    return float(genotype[0]) / 8 + float(genotype[1]) / 16 + (0.1 if genotype[2] == "U" else 0)


def energy_space() -> GeneSpace:
    return GeneSpace(GENES, costs, name="energy")


def search_energy(folder: Path, **changes: Any) -> Study:
    options: dict[str, Any] = {"limits": {"energy": 12}, "trials": 12, "objective": "energy", "folder": folder}
    return search(energy_space(), accuracy, **{**options, **changes})
