"""Early stopping by forecast: a training goes on while it may still end on the front.

A rung is an epoch at which trainings are judged. At each rung the final log errors of the study's complete trainings
are regressed on their best log errors up to that epoch and on cost (`statistics/extrapolation.py`), which forecasts the
final error of the training that is judged. It is stopped when it has little chance of beating every complete network of
no more cost, without which it would not enter the front.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist

from bsconv_nas.errors import UsageError
from bsconv_nas.evaluation import Curve
from bsconv_nas.statistics.extrapolation import fit_line
from bsconv_nas.statistics.log_errors import log_error

_PARTS = 8  # rungs are at each eighth of a training
_LEAST = 8  # complete trainings before the first decision


@dataclass(frozen=True, slots=True)
class ForecastStopping:
    """Stops trainings that will hardly end on the front.

    Args:
        first_rung: epochs before the first decision; None: a quarter of a training. Decisions follow at each eighth.
        chance: a training is stopped when its chance of ending on the front is below this, in (0, 1). Networks on the
            front are there partly by luck, so a training has a better chance than is computed: on the table of trained
            networks 0.1 lost networks of the front for good, 0.02 hardly any.

    Raises:
        UsageError: a first rung below 1, or a chance outside (0, 1).
    """

    first_rung: int | None = None
    chance: float = 0.02

    def __post_init__(self) -> None:
        if self.first_rung is not None and self.first_rung < 1:
            raise UsageError(f"first_rung is {self.first_rung}; allowed: at least 1 epoch, or None")
        if not 0 < self.chance < 1:
            raise UsageError(f"chance is {self.chance}; allowed: above 0 and below 1, for example 0.02")

    def rungs(self, epochs: int) -> list[int]:
        """Epochs at which a training of `epochs` is judged; none of them is the last."""
        first = self.first_rung or math.ceil(epochs / 4)
        rungs = {math.ceil(part * epochs / _PARTS) for part in range(1, _PARTS)}
        return sorted(rung for rung in rungs if first <= rung < epochs)

    def continues(self, cost: float, curve: Curve, others: Iterable[tuple[float, Curve]]) -> bool:
        """Whether a trial with this curve so far goes on; `others` are costs and curves of all other trials.

        Only what the study stores is used, so a search that was interrupted decides as it would have decided.
        """
        if not curve or curve[-1].epoch not in self.rungs(curve[-1].epochs):
            return True
        rung, epochs = curve[-1].epoch, curve[-1].epochs
        complete = [(c, o) for c, o in others if o and o[-1].final and o[-1].epochs == epochs]
        rivals = [log_error(other[-1].top1) for other_cost, other in complete if other_cost <= cost]
        if len(complete) < _LEAST or not rivals:
            return True
        line = fit_line(
            [_features(other_cost, other, rung) for other_cost, other in complete],
            [log_error(other[-1].top1) for _, other in complete],
        )
        assert line is not None
        expected, variance = line.at(_features(cost, curve, rung))
        return NormalDist(expected, math.sqrt(variance)).cdf(min(rivals)) >= self.chance


def _features(cost: float, curve: Curve, rung: int) -> tuple[float, float]:
    """Best log error up to the rung, which ranks unfinished networks better than that of the rung, and log cost."""
    best = max((result.top1 for result in curve if result.epoch <= rung), default=0.0)
    return log_error(best), math.copysign(math.log1p(abs(cost)), cost)
