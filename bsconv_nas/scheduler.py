"""Early stopping for two objectives: which trainings are worth going on with. To add a rule: a row in `EARLY_STOPPING`.

`asha` is successive halving as in Li et al., "A system for massively parallel hyperparameter tuning" (2020):
asynchronous, so a decision takes what has arrived and waits for nobody. With a second objective that is known, a
network competes only with those that cost no more. A cheap one is therefore never stopped for being less accurate than
a large one, and whatever could be on the front goes on. `forecast` is in `forecast.py`.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from bsconv_nas.errors import UsageError
from bsconv_nas.evaluation import Curve
from bsconv_nas.forecast import ForecastStopping
from bsconv_nas.units import did_you_mean

_FIRST_RUNG = 8  # the first rung is this part of the epochs


class StoppingRule(Protocol):
    """Decides after each epoch, from what the study stores alone."""

    def continues(self, cost: float, curve: Curve, others: Iterable[tuple[float, Curve]]) -> bool:
        """Whether a trial with this curve so far goes on; `others` are costs and curves of all other trials."""
        ...


def goes_on(cost: float, top1: float, others: Iterable[tuple[float, float]], reduction: float) -> bool:
    """Whether a network is among the best 1/`reduction` of those of its rung that cost no more, itself included.

    `others` are costs and accuracies of the rest of the rung. A network that no other of at most its cost beats always
    goes on, and equal accuracies are no defeat.
    """
    peers = [accuracy for other_cost, accuracy in others if other_cost <= cost]
    better = sum(accuracy > top1 for accuracy in peers)
    return better == 0 or better < (len(peers) + 1) / reduction


@dataclass(frozen=True, slots=True)
class EarlyStopping:
    """Asynchronous successive halving.

    Args:
        first_rung: epochs before the first decision; None: an eighth of a training. Each further rung is at
            `reduction` times the epochs of the one before.
        reduction: one in so many goes on at each rung. Early accuracy tells good networks from bad ones but not the
            best from the good, so the default halves.

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
        found: list[int] = []
        while round(rung) < epochs:
            if not found or round(rung) > found[-1]:
                found.append(round(rung))
            rung *= self.reduction
        return found

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


# Rules by the name on the command line.
EARLY_STOPPING: Mapping[str, EarlyStopping | ForecastStopping | None] = {
    "none": None,
    "asha": EarlyStopping(),
    "forecast": ForecastStopping(),
}


def find_early_stopping(
    name: str, first_rung: int | None = None, reduction: float | None = None
) -> EarlyStopping | ForecastStopping | None:
    """The rule of that name, with its first rung and reduction changed where they are given; None for none.

    Raises:
        UsageError: unknown name, values that are not allowed, or values that the rule does not have.
    """
    if name not in EARLY_STOPPING:
        raise UsageError(f"unknown early stopping {name!r}; {did_you_mean(name, EARLY_STOPPING)}")
    given = {key: value for key, value in (("first_rung", first_rung), ("reduction", reduction)) if value is not None}
    rule = EARLY_STOPPING[name]
    if rule is None:
        if given:
            raise UsageError(f"early stopping is {name!r}, which has no grace period or reduction factor; ask for asha")
        return None
    if reduction is not None and not isinstance(rule, EarlyStopping):
        raise UsageError(f"early stopping is {name!r}, which has no reduction factor; leave it out, or ask for asha")
    return replace(rule, **given)


def _best(curve: Curve, rung: int) -> float:
    return max((result.top1 for result in curve if result.epoch <= rung), default=0.0)
