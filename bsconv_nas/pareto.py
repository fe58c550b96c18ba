"""Fronts of two objectives: accuracy up, a cost down."""

from collections.abc import Sequence


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
