"""Confidence intervals of accuracies."""

from collections.abc import Sequence
from math import sqrt
from statistics import fmean, stdev, variance

_Z95 = 1.959963984540054  # 97.5 % quantile of the standard normal distribution


def binomial_interval(top1: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of an accuracy measured on `count` images (E. B. Wilson, JASA 1927)."""
    centre = (top1 + _Z95**2 / (2 * count)) / (1 + _Z95**2 / count)
    half = _Z95 * sqrt(top1 * (1 - top1) / count + _Z95**2 / (4 * count**2)) / (1 + _Z95**2 / count)
    return max(0.0, min(top1, centre - half)), min(1.0, max(top1, centre + half))  # rounding may cross top1 itself


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Student's 95 % interval of the mean accuracy over trainings with different seeds; at least two values.

    It is wide for few values: 2.5 standard deviations each way for three, 1.2 for five.
    """
    from scipy.stats import t  # slow to import

    half = float(t.ppf(0.975, len(values) - 1)) * stdev(values) / sqrt(len(values))
    return max(0.0, fmean(values) - half), min(1.0, fmean(values) + half)


def difference_interval(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    """Difference of the means of `a` and `b`, and the half-width of its 95 % interval; at least two values each.

    The variances may differ (B. L. Welch, Biometrika 1947).
    """
    from scipy.stats import t  # slow to import

    squares = [variance(values) / len(values) for values in (a, b)]
    error = sum(squares)
    if error == 0:
        return fmean(a) - fmean(b), 0.0
    freedom = error**2 / sum(s**2 / (len(values) - 1) for s, values in zip(squares, (a, b), strict=True))
    return fmean(a) - fmean(b), float(t.ppf(0.975, freedom)) * sqrt(error)
