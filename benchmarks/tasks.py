"""What samplers are compared on: a space, its limit, accuracies, and how good a set of trained networks is."""

from functools import cache, cached_property
from typing import Protocol

import numpy as np

from benchmarks.synthetic import CHANCE, Problem
from benchmarks.tables.table import Row, Table, table_space
from benchmarks.true_front import true_front
from bsconv_nas.base.limits import Limits
from bsconv_nas.pareto import CommonFront
from bsconv_nas.spaces.genes import GeneSpace, Genotype


class Task(Protocol):
    """A search problem; `front` is the best that there is, by which networks within the limit are measured."""

    name: str
    space: GeneSpace
    limits: Limits
    front: CommonFront

    def curve(self, genotype: Genotype, seed: int) -> list[float]:
        """Accuracy after each epoch of a training."""
        ...

    def true_top1(self, genotype: Genotype) -> float:
        """What the network is worth, as far as it is known."""
        ...


class SyntheticTask:
    """A made-up problem (see `synthetic.py`); measured by noise-free accuracies.

    The floor is the accuracy of the smallest network on the best front that learned anything.
    """

    def __init__(self, problem: Problem) -> None:
        self.name = f"{problem.genes} genes"
        self.problem = problem
        self.limits = Limits({"macs": problem.limit})
        self._index = [{choice: i for i, choice in enumerate(choices)} for choices in problem.choices.values()]
        self.space = GeneSpace(problem.choices, cost=lambda genotype: {"macs": self._macs(genotype)})
        costs, errors = true_front(problem)
        floor = 1 - float(max(errors[errors < 1 - CHANCE - 1e-9]))
        self.front = CommonFront.of(costs.tolist(), (1 - errors).tolist(), problem.limit, floor)

    def curve(self, genotype: Genotype, seed: int) -> list[float]:
        return self.problem.curve(self._codes(genotype), seed)

    def true_top1(self, genotype: Genotype) -> float:
        return 1 - float(self.problem.error(np.array([self._codes(genotype)]))[0])

    def _codes(self, genotype: Genotype) -> tuple[int, ...]:
        return tuple(index[choice] for index, choice in zip(self._index, genotype, strict=True))

    def _macs(self, genotype: Genotype) -> float:
        return float(self.problem.macs(np.array([self._codes(genotype)]))[0])


class TableTask:
    """The table of trained networks, limited to a quantile of its MACs.

    A search sees the validation accuracy of one training of each network, that of seed 0. It is measured by
    `Table.unseen_top1`, the mean of two trainings on three times the images: by what it saw itself, a front is mostly
    a list of lucky trainings, which no sampler can foresee. With `one_training` it is measured by that all the same.

    Networks that the table does not have exceed a second limit (their cost `missing` is 1), so that a table of a part
    of the space can be searched. The floor is the accuracy of the smallest network on the best front.
    """

    def __init__(self, table: Table, budget: float, one_training: bool = False) -> None:
        self.name = f"table, {budget:.0%} of MACs"
        self._table, self._budget = table, budget
        self._rows: dict[Genotype, Row] = {row.genotype: row for row in table.rows if row.seed == 0}
        self._worth = {g: row.val_top1[-1] if one_training else table.unseen_top1(g) for g, row in self._rows.items()}
        limit = float(np.quantile([row.macs for row in self._rows.values()], budget))
        full = table_space()
        cost = cache(full.cost)
        self.space = GeneSpace(
            {gene.name: gene.choices for gene in full.genes},
            cost=lambda genotype: {"macs": cost(genotype)["macs"], "missing": float(genotype not in self._rows)},
            name="table",
            traits=full.traits,
            expected=full.expected,
        )
        self.limits = Limits({"macs": limit, "missing": 0.5} if len(self._rows) < full.size else {"macs": limit})
        inside = [row for row in self._rows.values() if row.macs <= limit]
        costs, accuracies = [float(row.macs) for row in inside], [self._worth[row.genotype] for row in inside]
        self.front = CommonFront.of(costs, accuracies, limit)

    def curve(self, genotype: Genotype, seed: int) -> list[float]:
        # The same training whatever the seed, also for networks over the limit that a stock sampler may ask for.
        row = self._rows.get(genotype)
        return list(row.val_top1) if row else [CHANCE]

    @cached_property
    def by_one_training(self) -> "TableTask":
        """The same task, measured by the one training of each network that a search sees."""
        return TableTask(self._table, self._budget, one_training=True)

    def true_top1(self, genotype: Genotype) -> float:
        return self._worth[genotype]


@cache
def synthetic(genes: int, instance: int) -> SyntheticTask:
    return SyntheticTask(Problem(genes, instance))


@cache
def table(budget: float) -> TableTask:
    return TableTask(Table.read(), budget)


def tasks(name: str, instance: int) -> Task:
    """The task of that name: "table-50", "table-25" (per cent of the MACs) or a number of genes."""
    prefix, _, budget = name.partition("-")
    return table(int(budget) / 100) if prefix == "table" else synthetic(int(name), instance)
