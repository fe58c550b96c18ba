"""Confidence intervals of accuracies."""

from math import sqrt

_Z95 = 1.959963984540054  # of the standard normal distribution


def binomial_interval(top1: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of an accuracy measured on `count` images (E. B. Wilson, JASA 1927)."""
    centre = (top1 + _Z95**2 / (2 * count)) / (1 + _Z95**2 / count)
    half = _Z95 * sqrt(top1 * (1 - top1) / count + _Z95**2 / (4 * count**2)) / (1 + _Z95**2 / count)
    return max(0.0, min(top1, centre - half)), min(1.0, max(top1, centre + half))  # rounding may cross top1 itself
