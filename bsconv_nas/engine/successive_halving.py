"""Asynchronous successive halving for two objectives: the better part of the trainings goes on at each rung.

A rung is an epoch at which trainings are compared. After Li et al., "A system for massively parallel hyperparameter
tuning" (2020), a decision is made from the trainings that have reached the rung by then and waits for no other. Since
the cost is known, a network competes only with those that cost no more: a cheap one is never stopped for being less
accurate than a large one, and whatever could be on the front goes on.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from bsconv_nas.errors import UsageError
from bsconv_nas.evaluation import Curve

_FIRST_RUNG = 8  # the first rung is at an eighth of the epochs


def goes_on(cost: float, top1: float, others: Iterable[tuple[float, float]], reduction: float) -> bool:
    """Whether a network is among the best 1/`reduction` of those of its rung that cost no more, itself included.

    `others` are costs and accuracies of the rest of the rung. A network that no other of at most its cost beats always
    goes on, and equal accuracies are no defeat.
    """
    peers = [accuracy for other_cost, accuracy in others if other_cost <= cost]
    better = sum(accuracy > top1 for accuracy in peers)
    return better == 0 or better < (len(peers) + 1) / reduction


@dataclass(frozen=True, slots=True)
class SuccessiveHalving:
    """Stops trainings that lag behind networks of no more cost: asynchronous successive halving.

    Args:
        first_rung: epochs before the first decision; None: an eighth of a training. Each further rung is at
            `reduction` times the epochs of the one before.
        reduction: one training in so many goes on at each rung. Early accuracy tells good networks from bad ones but
            not the best from the good, so by default half of them go on.

    Raises:
        UsageError: a first rung below 1 or a reduction of 1 or less.
    """

    first_rung: int | None = None
    reduction: float = 2.0

    def __post_init__(self) -> None:
        if self.first_rung is not None and self.first_rung < 1:
            raise UsageError(f"first_rung is {self.first_rung}; allowed: at least 1 epoch, or None")
        if not 1 < self.reduction < math.inf:
            raise UsageError(f"reduction is {self.reduction}; allowed: more than 1, for example 2")

    def rungs(self, epochs: int) -> list[int]:
        """Epochs at which a training of `epochs` is judged; none of them is the last."""
        rung = float(self.first_rung or math.ceil(epochs / _FIRST_RUNG))
        rungs: list[int] = []
        while round(rung) < epochs:
            if not rungs or round(rung) > rungs[-1]:
                rungs.append(round(rung))
            rung *= self.reduction
        return rungs

    def continues(self, cost: float, curve: Curve, others: Iterable[tuple[float, Curve]]) -> bool:
        """Whether a trial with this curve so far goes on; `others` are costs and curves of all other trials.

        Networks are ranked by their best accuracy up to the rung. Only what the study stores is used, so a search that
        was interrupted decides as it would have decided.
        """
        if not curve or curve[-1].epoch not in self.rungs(curve[-1].epochs):
            return True
        rung, epochs = curve[-1].epoch, curve[-1].epochs
        arrived = [
            (other_cost, _best(other, rung))
            for other_cost, other in others
            if other and other[-1].epoch >= rung and other[-1].epochs == epochs
        ]
        return goes_on(cost, _best(curve, rung), arrived, self.reduction)


def _best(curve: Curve, rung: int) -> float:
    return max((result.top1 for result in curve if result.epoch <= rung), default=0.0)
