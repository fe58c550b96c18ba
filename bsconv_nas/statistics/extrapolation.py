"""Where a training will end, from how it begins: a line through trainings that have ended, with its uncertainty.

Everything is in log errors, in which trainings differ by shares and not by points. The features of a training are its
log error so far and what else is known, such as the logarithm of its cost: at the start of a training large networks
are ahead by less than at its end.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LEAST = 4  # fewest complete trainings that a line is fitted to
_SLOPE, _SLOPE_DEVIATION = 1.0, 0.3  # prior of the slope of the log error so far: a lead is expected to last
_OTHER_DEVIATION = 0.2  # prior deviation of every other slope, whose prior mean is 0
_LEAST_VARIANCE = 1e-4

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Line:
    """Line from features to the final log error.

    Networks are stopped because of their values so far, so complete trainings are a selection by them. A mean of the
    differences would carry that selection over to the stopped ones; a regression on the values does not. With few
    trainings its slopes are held near those of a mean difference.
    """

    centre: Floats  # mean of the features
    end: float  # mean of the final log errors
    slopes: Floats
    spread: Floats  # covariance of the slopes, as a multiple of `variance`
    variance: float  # variance of final log errors around the line
    count: int

    def at(self, features: Sequence[float]) -> tuple[float, float]:
        """Expected final log error of a training, and the variance of what it will be."""
        distance = np.asarray(features) - self.centre
        variance = self.variance * (1 + 1 / self.count + float(distance @ self.spread @ distance))
        return min(0.0, self.end + float(distance @ self.slopes)), variance


def fit_line(features: Sequence[Sequence[float]], ends: Sequence[float]) -> Line | None:
    """The line through trainings, the first feature of each their log error so far; None while they are too few."""
    count = len(ends)
    if count < _LEAST:
        return None
    x, y = np.array(features, dtype=float), np.array(ends, dtype=float)
    centre, end = x.mean(0), float(y.mean())
    x, y = x - centre, y - end
    expected = np.zeros(x.shape[1])
    expected[0] = _SLOPE
    left = y - x @ expected
    rough = max(float(left @ left) / (count - 1), 1e-6)
    deviations = np.full(x.shape[1], _OTHER_DEVIATION)
    deviations[0] = _SLOPE_DEVIATION
    spread = np.linalg.inv(x.T @ x + np.diag(rough / deviations**2))
    slopes = expected + spread @ (x.T @ left)
    residuals = y - x @ slopes
    variance = max(float(residuals @ residuals) / max(1, count - 1 - x.shape[1]), _LEAST_VARIANCE)
    return Line(centre, end, slopes, spread, variance, count)
