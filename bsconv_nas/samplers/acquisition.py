"""Expected hypervolume improvement in closed form, for a cost that is known and an error that is lognormal.

Let K(x) be the least error that the front reaches at cost position x. A candidate of cost position c and error E
improves the front at every position x >= c by max(0, K(x) - E). K is constant between the members of the front, so the
expected gain in area is a sum over these steps: the width of the step times the expectation of max(0, K - E). With
log E normal, each expectation is the undiscounted Black-Scholes price of a put option with strike K. No integration is
needed, because one of the two objectives is certain; Emmerich et al., "A multicriteria generalization of the expected
improvement" (2016), treat two uncertain ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr

from bsconv_nas.pareto import front_indices
from bsconv_nas.samplers.gp import Floats

_MARGIN = 0.1  # share of the front's range in error by which the floor lies beyond its cheapest network


@dataclass(frozen=True, slots=True)
class FrontSteps:
    """The front as steps: from `starts[i]` to the next start (the last one to `end`) the least error is `errors[i]`.

    Starts and end are positions on the cost axis, where 0 is the cheapest network and 1 the limit. Before the first
    member the error to beat is that of the floor. `members` are the indices of the points that the steps come from.
    """

    starts: Floats
    errors: Floats
    end: float
    members: tuple[int, ...] = ()

    @classmethod
    def of(cls, positions: Sequence[float], errors: Sequence[float], floor: float, end: float) -> "FrontSteps":
        """The steps of points with costs at `positions`; points with errors of `floor` or more are left out."""
        members = [i for i in front_indices(positions, [-error for error in errors]) if errors[i] < floor]
        starts = [-np.inf, *(positions[i] for i in members)]
        return cls(np.array(starts), np.array([floor, *(errors[i] for i in members)]), end, tuple(members))

    def widths(self, positions: Floats) -> Floats:
        """Width of each step to the right of each position: (positions, steps)."""
        ends = np.append(self.starts[1:], self.end)
        return np.maximum(0.0, ends[None, :] - np.maximum(self.starts[None, :], positions[:, None]))

    def error_at(self, positions: Floats) -> Floats:
        """Error of the front at each position."""
        return self.errors[np.searchsorted(self.starts, positions, side="right") - 1]


def low_end(positions: Sequence[float], errors: Sequence[float]) -> float:
    """The error of the floor: that of the front's smallest network plus a tenth of the front's range, at most 1.

    The smallest network is passed over when its log error exceeds that of the next one by more than all others span:
    it has learned nothing, and with a floor beyond it any network that learns would look like a great gain.
    """
    front = [errors[i] for i in front_indices(positions, [-error for error in errors])]
    if len(front) > 2 and front[0] / front[1] > front[1] / front[-1]:
        front = front[1:]
    return min(1.0, front[0] + _MARGIN * (front[0] - front[-1])) if len(front) > 1 else 1.0


def expected_improvement(steps: FrontSteps, positions: Floats, mean: Floats, deviation: Floats) -> Floats:
    """Expected gain in area of each candidate, whose log error is normal with `mean` and `deviation`.

    The error is the lognormal's, which may exceed 1; only errors below the front's count.
    """
    return np.sum(steps.widths(positions) * expected_drop(steps.errors[None, :], mean[:, None], deviation[:, None]), 1)


def expected_drop(strike: Floats, mean: Floats, deviation: Floats) -> Floats:
    """E[max(0, strike - exp(X))] for X normal: the put formula, with X certain as its limit."""
    safe = np.maximum(deviation, 1e-12)
    d = (np.log(strike) - mean) / safe
    # Written with log_ndtr so that far out both terms shrink together instead of leaving rounding noise.
    price = strike * np.exp(log_ndtr(d)) - np.exp(mean + safe**2 / 2 + log_ndtr(d - safe))
    certain = np.maximum(0.0, strike - np.exp(mean))
    return np.where(deviation > 1e-9, np.maximum(price, 0.0), certain)
