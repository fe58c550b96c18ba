"""The table of trained networks: its space of 576 networks, and the rows that `make_table.py` measured.

    from benchmarks.tables.table import Table, table_space

    table = Table.read()
    best = max(table.rows, key=lambda row: row.val_top1[-1])

A network has seven genes; one choice holds for a whole part of it, which keeps the space small enough to train all.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from bsconv_nas.networks.arch import ArchSpec
from bsconv_nas.networks.cost import cost_of
from bsconv_nas.networks.traits import EXPECTED
from bsconv_nas.spaces.files import find_space
from bsconv_nas.spaces.genes import Choice, GeneSpace, Genotype
from bsconv_nas.spaces.networks import ArchSpace

FILE = Path(__file__).with_name("cifar10-16px.csv")
EPOCHS = 8
GENES: dict[str, list[Choice]] = {
    "early": ["S-1/4", "U"],  # layers of the first stage
    "late": ["S-1/8", "S-1/4", "S-1/2", "U"],  # layers of the other two
    "kernel": [3, 5],  # pixels, of all layers
    "width": [8, 16, 24],  # channels of stem and first stage; the others have two and four times as many
    "early_depth": [1, 2],  # layers of the first stage
    "late_depth": [1, 2, 3],  # layers of each of the other two
    "shortcut": ["none", "pair"],
}
_SPACE = ArchSpace(find_space(str(Path(__file__).with_name("space.toml"))), (16, 16), num_classes=10)


def arch_of(genotype: Genotype) -> ArchSpec:
    """The network of a genotype of `GENES`."""
    return _SPACE.decode(_whole(genotype))


def _whole(genotype: Genotype) -> Genotype:
    """The genotype of `_SPACE`, in which each layer has genes of its own."""
    early, late, kernel, width, early_depth, late_depth, shortcut = genotype
    values: dict[str, Choice] = {"stem": width, "shortcut": shortcut}
    for stage, depth in ((1, early_depth), (2, late_depth), (3, late_depth)):
        values |= {f"s{stage}.depth": depth, f"s{stage}.width": int(width) * 2 ** (stage - 1)}
        for layer in (1, 2, 3):
            values |= {f"s{stage}.l{layer}.conv": early if stage == 1 else late, f"s{stage}.l{layer}.kernel": kernel}
    return _SPACE.canonical(_SPACE.from_params(values))


def table_space() -> GeneSpace:
    """The space of the table, with exact costs and the traits of its networks."""
    return GeneSpace(
        GENES,
        cost=lambda genotype: cost_of(arch_of(genotype)).as_dict(),
        name="table",
        traits=lambda genotype: _SPACE.traits(_whole(genotype)),
        expected=EXPECTED,
    )


@dataclass(frozen=True, slots=True)
class Row:
    """One training: the network, its seed, costs, accuracies in [0, 1] and seconds of training."""

    genotype: Genotype
    seed: int
    macs: int
    params: int
    val_top1: tuple[float, ...]  # after each epoch
    test_top1: float  # of the last epoch; never seen by a search
    seconds: float

    def as_csv(self) -> list[str]:
        """The row as text, in the order of `HEADER`."""
        accuracies = [f"{top1:.4f}" for top1 in (*self.val_top1, self.test_top1)]
        return [*map(str, (*self.genotype, self.seed, self.macs, self.params)), *accuracies, f"{self.seconds:.2f}"]


HEADER = [*GENES, "seed", "macs", "params", *(f"val_{epoch}" for epoch in range(1, EPOCHS + 1)), "test", "seconds"]


VAL_IMAGES, TEST_IMAGES = 5_000, 10_000


def unseen_top1(row: Row) -> float:
    """Accuracy of one training on validation and test images together."""
    return (VAL_IMAGES * row.val_top1[-1] + TEST_IMAGES * row.test_top1) / (VAL_IMAGES + TEST_IMAGES)


class Table:
    """All rows, by genotype and seed."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = list(rows)
        self._by_key = {(row.genotype, row.seed): row for row in self.rows}

    @classmethod
    def read(cls, path: Path = FILE) -> "Table":
        """Read the file that `make_table.py` wrote; an empty table where there is none."""
        return cls(_read(path) if path.exists() else [])

    def row(self, genotype: Genotype, seed: int = 0) -> Row:
        """The training of a network with a seed.

        Raises:
            KeyError: not in the table.
        """
        return self._by_key[genotype, seed]

    def __contains__(self, key: tuple[Genotype, int]) -> bool:
        return key in self._by_key

    def unseen_top1(self, genotype: Genotype) -> float:
        """Mean over the network's trainings of the accuracy on validation and test images together.

        What a network is worth, as well as the table knows it: one training's validation accuracy is as much luck. It
        is for judging searches afterwards, never for a search to look at.

        Raises:
            KeyError: not in the table.
        """
        trainings = [self._by_key[genotype, seed] for seed in (0, 1) if seed == 0 or (genotype, seed) in self]
        return mean(map(unseen_top1, trainings))

    def repeated(self) -> list[tuple[Row, Row]]:
        """Networks that were trained with two seeds."""
        return [
            (row, self._by_key[row.genotype, 1]) for row in self.rows if row.seed == 0 and (row.genotype, 1) in self
        ]


def _read(path: Path) -> Iterator[Row]:
    with path.open(newline="") as stream:
        for line in csv.DictReader(stream):
            genotype = tuple(_choice(gene, line[gene]) for gene in GENES)
            curve = tuple(float(line[f"val_{epoch}"]) for epoch in range(1, EPOCHS + 1))
            numbers = int(line["seed"]), int(line["macs"]), int(line["params"])
            yield Row(genotype, *numbers, curve, float(line["test"]), float(line["seconds"]))


def _choice(gene: str, text: str) -> Choice:
    return next(choice for choice in GENES[gene] if str(choice) == text)
