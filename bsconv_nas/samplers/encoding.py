"""Genotypes as numbers for the model, and costs as positions on an axis. Both are computed once per genotype."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bsconv_nas.base.limits import Limits
from bsconv_nas.base.text import did_you_mean
from bsconv_nas.errors import SpaceError
from bsconv_nas.pareto import CostAxis
from bsconv_nas.samplers.gp import Features, Floats
from bsconv_nas.spaces.genes import GeneSpace, Genotype

_MAX_CACHED = 20_000  # points, of about a kilobyte each


@dataclass(frozen=True, slots=True)
class Point:
    """What is known of a genotype before any training."""

    codes: tuple[int, ...]  # for each gene that has more than one choice: the index of its choice
    trend: tuple[float, ...]  # log costs (in widths of the cost axis), then traits, less those of the cheapest network
    position: float  # where the network's cost is on the axis: 0 at the cheapest network, 1 at the limit
    feasible: bool


class Encoder:
    """Turns genotypes into features of the model.

    Args:
        space: the space.
        axis: gives the position of a network's cost.
        objective: name of the cost that the axis is made for.
        limits: upper bounds by cost name.
        cheapest: the genotype whose costs and traits are subtracted from those of all others.

    Raises:
        SpaceError: something is expected of a cost or trait that the space does not have.
    """

    def __init__(self, space: GeneSpace, axis: CostAxis, objective: str, limits: Limits, cheapest: Genotype) -> None:
        self._space = space
        self._axis = axis
        self._objective = objective
        self._limits = limits
        self._origin = {name: _log(cost) for name, cost in space.cost(cheapest).items()}
        self._traits = dict(space.traits(cheapest))
        names = [*self._origin, *self._traits]
        for unknown in set(space.expected) - set(names):
            raise SpaceError(f"expected names an unknown cost or trait {unknown!r}; {did_you_mean(unknown, names)}")
        self._expected = np.array([space.expected.get(name, 0.0) for name in names], dtype=float)
        self._width = max(_log(axis.limit) - _log(axis.cheapest), 0.1)
        self._points: dict[Genotype, Point] = {}
        free = [i for i, gene in enumerate(space.genes) if len(gene.choices) > 1]
        self._index = [(i, {choice: k for k, choice in enumerate(space.genes[i].choices)}) for i in free]
        self.sizes = tuple(len(space.genes[i].choices) for i in free)
        self._ordinal = [k for k, i in enumerate(free) if space.genes[i].ordinal]
        self._scale = np.array([max(1, self.sizes[k] - 1) for k in self._ordinal], dtype=float)
        self._offsets = np.cumsum([0, *self.sizes[:-1]]) if self.sizes else np.zeros(0, dtype=int)

    def point(self, genotype: Genotype) -> Point:
        """Codes, costs and feasibility of a genotype, computed at most once while it stays in the cache."""
        point = self._points.get(genotype)
        if point is None:
            if len(self._points) >= _MAX_CACHED:
                self._points.clear()
            point = self._points[genotype] = self._computed(genotype)
        return point

    def features(self, points: Sequence[Point]) -> Features:
        """Features of many points at once."""
        codes = np.array([point.codes for point in points], dtype=int).reshape(len(points), len(self.sizes))
        trend = np.array([point.trend for point in points], dtype=float).reshape(len(points), -1)
        onehot = np.zeros((len(points), sum(self.sizes)))
        rows = np.arange(len(points))[:, None]
        onehot[rows, codes + self._offsets] = 1.0
        position = np.array([[point.position] for point in points], dtype=float).reshape(-1, 1)
        ranks = np.hstack([codes[:, self._ordinal] / self._scale, position])
        return Features(ranks, onehot, trend)

    def expected(self, features: Features) -> Floats:
        """Log errors (n,) that the space expects before any training, in standard deviations, up to a constant."""
        return features.trend @ self._expected

    def _computed(self, genotype: Genotype) -> Point:
        costs, traits = self._space.cost(genotype), self._space.traits(genotype)
        trend = [(_log(costs[name]) - origin) / self._width for name, origin in self._origin.items()]
        return Point(
            codes=tuple(index[genotype[i]] for i, index in self._index),
            trend=(*trend, *(traits[name] - origin for name, origin in self._traits.items())),
            position=self._axis.position(costs[self._objective]),
            feasible=self._limits.allow(costs),
        )


def _log(cost: float) -> float:
    """Sign-keeping logarithm: a user's cost may be zero or negative."""
    return math.copysign(math.log1p(abs(cost)), cost)
