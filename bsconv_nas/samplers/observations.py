"""What the trials of a study say about accuracy: log errors of complete trials, estimates for stopped ones."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from optuna.trial import FrozenTrial, TrialState

from bsconv_nas.errors import UsageError

_NO_ERROR = 1e-3  # error that stands for 0 where nothing else was seen
_MIN_CURVES = 4  # complete curves that it takes to judge stopped trials
_SLOPE_DEVIATION = 0.3

Network = TypeVar("Network", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Observation:
    """A trial's log error; `extra` is the variance of what is not measured but estimated."""

    number: int
    log_error: float
    extra: float = 0.0


def finished(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Trials with something to learn from, in order of completion: a prefix never changes when more trials end.

    Raises:
        UsageError: an accuracy that is not a fraction.
    """
    kept = [t for t in trials if _top1(t) is not None or (t.state == TrialState.PRUNED and _curve(t))]
    return sorted(kept, key=lambda t: (t.datetime_complete or datetime.max, t.number))


def observations(trials: Sequence[FrozenTrial]) -> list[Observation]:
    """Log errors of finished trials, in their order; stopped trials that cannot be judged yet are left out."""
    errors = [1.0 - top1 for trial in trials if (top1 := _top1(trial)) is not None]
    least = min((error for error in errors if error > 0), default=2 * _NO_ERROR) / 2
    complete = [trial for trial in trials if _top1(trial) is not None]
    forecasts: dict[tuple[int, int], _Forecast | None] = {}
    found: list[Observation] = []
    for trial in trials:
        top1 = _top1(trial)
        if top1 is not None:
            found.append(Observation(trial.number, _log_error(top1, least)))
            continue
        epoch, epochs, *_ = _curve(trial)[-1]
        if (epoch, epochs) not in forecasts:
            forecasts[epoch, epochs] = _forecast(complete, epoch, epochs, least)
        forecast = forecasts[epoch, epochs]
        if forecast is not None:
            log_error, extra = forecast.at(_log_error(_best(trial, epoch), least))
            found.append(Observation(trial.number, log_error, extra))
    return found


def transferred(earlier: Mapping[Network, float], here: Mapping[Network, float]) -> dict[Network, tuple[float, float]]:
    """What log errors of another study mean here, with their variance: a line through networks trained in both.

    Empty while those are too few.
    """
    line = _line([(log_error, here[network]) for network, log_error in earlier.items() if network in here])
    return {network: line.at(log_error) for network, log_error in earlier.items()} if line else {}


def log_error_of(top1: float) -> float:
    """Log error of an accuracy, with an accuracy of 1 taken for slightly less."""
    return _log_error(top1, _NO_ERROR)


@dataclass(frozen=True, slots=True)
class _Forecast:
    """Line from the log error at an epoch to the final one, fitted to complete trials.

    Networks are stopped because of their value at that epoch, so complete trials are a selection by it. A mere mean of
    the differences would carry that selection over to the stopped ones; a regression on the value itself does not.
    With few points the slope is held near 1, where the line is that mean.
    """

    start_mean: float
    end_mean: float
    slope: float
    slope_variance: float
    variance: float
    count: int

    def at(self, start: float) -> tuple[float, float]:
        """Expected final log error and its variance."""
        distance = start - self.start_mean
        variance = self.variance * (1 + 1 / self.count) + self.slope_variance * distance**2
        return min(0.0, self.end_mean + self.slope * distance), variance


def _forecast(complete: Sequence[FrozenTrial], epoch: int, epochs: int, least: float) -> _Forecast | None:
    pairs = [
        (_log_error(_best(trial, epoch), least), _log_error(_top1(trial) or 0.0, least))
        for trial in complete
        if (curve := _curve(trial)) and curve[-1][1] == epochs and curve[0][0] <= epoch
    ]
    return _line(pairs)


def _line(pairs: Sequence[tuple[float, float]]) -> _Forecast | None:
    """The line through pairs of log errors; None while there are too few."""
    if len(pairs) < _MIN_CURVES:
        return None
    count = len(pairs)
    start_mean = sum(start for start, _ in pairs) / count
    end_mean = sum(end for _, end in pairs) / count
    spread = sum((start - start_mean) ** 2 for start, _ in pairs)
    product = sum((start - start_mean) * (end - end_mean) for start, end in pairs)
    differences = [(end - end_mean) - (start - start_mean) for start, end in pairs]
    rough = max(sum(d * d for d in differences) / (count - 1), 1e-6)
    precision = rough / _SLOPE_DEVIATION**2  # of the prior that the slope is 1
    slope = (product + precision) / (spread + precision)
    residuals = [(end - end_mean) - slope * (start - start_mean) for start, end in pairs]
    variance = max(sum(r * r for r in residuals) / max(1, count - 2), 1e-4)
    return _Forecast(start_mean, end_mean, slope, variance / (spread + precision), variance, count)


def _top1(trial: FrozenTrial) -> float | None:
    if trial.state != TrialState.COMPLETE:
        return None
    top1 = trial.values[0]
    if not 0 <= top1 <= 1:
        raise UsageError(f"trial {trial.number} has accuracy {top1}; allowed: a fraction from 0 to 1, not percent")
    return top1


def _curve(trial: FrozenTrial) -> list[list[Any]]:
    attributes: Mapping[str, Any] = trial.user_attrs
    return attributes.get("curve") or []


def _best(trial: FrozenTrial, epoch: int) -> float:
    """Best accuracy up to an epoch: it ranks unfinished networks better than the last one."""
    return max((row[2] for row in _curve(trial) if row[0] <= epoch), default=0.0)


def _log_error(top1: float, least: float) -> float:
    return math.log(max(1.0 - top1, least))
