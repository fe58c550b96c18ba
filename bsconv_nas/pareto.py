"""Fronts of two objectives: accuracy up, a cost down."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


def front_indices(costs: Sequence[float], accuracies: Sequence[float]) -> list[int]:
    """Positions of the non-dominated points, by rising cost; of equal points the first. O(n log n).

    A point is dominated when another costs no more and is at least as accurate, one of the two strictly.
    """
    order = sorted(range(len(costs)), key=lambda i: (costs[i], -accuracies[i], i))
    front: list[int] = []
    best = float("-inf")
    for i in order:
        if accuracies[i] > best:
            front.append(i)
            best = accuracies[i]
    return front


def hypervolume(costs: Sequence[float], accuracies: Sequence[float], cost_limit: float, accuracy_floor: float) -> float:
    """Area that the points dominate inside the reference: exact, O(n log n).

    A point (c, a) dominates every (x, y) with c <= x <= `cost_limit` and `accuracy_floor` <= y <= a. Points at or
    beyond the reference add nothing. Areas are in units of cost times accuracy, so give positions on a `CostAxis`
    instead of costs where each doubling of cost is to count the same.
    """
    area = 0.0
    edge = accuracy_floor
    for i in front_indices(costs, accuracies):
        if accuracies[i] > edge and costs[i] < cost_limit:
            area += (cost_limit - costs[i]) * (accuracies[i] - edge)
            edge = accuracies[i]
    return area


@dataclass(frozen=True, slots=True)
class CostAxis:
    """Costs as positions: 0 is the space's cheapest network, 1 the limit, and equal ratios are equally far apart.

    The search measures fronts on this axis. On a linear axis networks of a tenth of the limit would share a tenth of
    the area, although the cheap half of a front is as long a way in every table of networks. Costs of 0 or less have no
    logarithm: with a cheapest cost that is not positive, the axis is linear.
    """

    cheapest: float
    limit: float

    def position(self, cost: float) -> float:
        """Where a cost lies; below 0 when it is less than the cheapest. All costs equal: 0."""
        if self.limit <= self.cheapest:
            return 0.0
        if self.cheapest <= 0:
            return (cost - self.cheapest) / (self.limit - self.cheapest)
        return math.log(max(cost, self.cheapest * 1e-6) / self.cheapest) / math.log(self.limit / self.cheapest)


@dataclass(frozen=True, slots=True)
class CommonFront:
    """The best front of several groups of networks together, which each of them is measured by.

    Attributes:
        axis: the cost axis, from the cheapest of all networks to the limit.
        floor: accuracy from which on area counts; by default that of the least accurate network of the front.
        best: the front's hypervolume.
    """

    axis: CostAxis
    floor: float
    best: float

    @classmethod
    def of(
        cls, costs: Sequence[float], accuracies: Sequence[float], limit: float, floor: float | None = None
    ) -> "CommonFront":
        """The front of all networks, at least one; `floor` stands for its least accuracy if it is given."""
        axis = CostAxis(min(costs), limit)
        if floor is None:
            floor = accuracies[front_indices(costs, accuracies)[0]]
        return cls(axis, floor, hypervolume([axis.position(cost) for cost in costs], accuracies, 1.0, floor))

    def share(self, costs: Sequence[float], accuracies: Sequence[float]) -> float:
        """Share of the hypervolume that these networks have; 1 where the front has none, being a single network."""
        volume = hypervolume([self.axis.position(cost) for cost in costs], accuracies, 1.0, self.floor)
        return volume / self.best if self.best else 1.0
