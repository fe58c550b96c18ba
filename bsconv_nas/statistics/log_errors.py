"""Log errors, the scale on which accuracies are modelled: trainings differ by shares of the error, not by points."""

import math

NO_ERROR = 1e-3  # error that stands for 0 where nothing else was seen


def log_error(top1: float, least: float = NO_ERROR) -> float:
    """Natural logarithm of 1 - `top1`, an accuracy in [0, 1]; errors below `least` count as `least`."""
    return math.log(max(1.0 - top1, least))
