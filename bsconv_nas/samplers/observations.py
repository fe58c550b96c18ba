"""What the trials of a study say about accuracy: log errors of complete trials, estimates for stopped ones."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from optuna.trial import FrozenTrial, TrialState

from bsconv_nas.errors import UsageError
from bsconv_nas.statistics.extrapolation import Line, fit_line
from bsconv_nas.statistics.log_errors import NO_ERROR, log_error

Network = TypeVar("Network", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Observation:
    """A trial's log error; `extra` is the variance of an estimated one, 0 for one that was measured."""

    number: int
    log_error: float
    extra: float = 0.0


def finished(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Trials with something to learn from, in order of completion: a prefix never changes when more trials end.

    Raises:
        UsageError: an accuracy that is not a fraction.
    """
    telling = [t for t in trials if _top1(t) is not None or (t.state == TrialState.PRUNED and _curve(t))]
    return sorted(telling, key=lambda t: (t.datetime_complete or datetime.max, t.number))


def observations(trials: Sequence[FrozenTrial], positions: Sequence[float]) -> list[Observation]:
    """Log errors of finished trials, in their order; stopped trials that cannot be judged yet are left out.

    `positions` are where the costs of the trials are on the cost axis, from 0 (cheapest network) to 1 (limit).
    """
    position = {trial.number: at for trial, at in zip(trials, positions, strict=True)}
    errors = [1.0 - top1 for trial in trials if (top1 := _top1(trial)) is not None]
    least = min((error for error in errors if error > 0), default=2 * NO_ERROR) / 2
    complete = [trial for trial in trials if _top1(trial) is not None]
    lines: dict[tuple[int, int], Line | None] = {}
    observed: list[Observation] = []
    for trial in trials:
        top1 = _top1(trial)
        if top1 is not None:
            observed.append(Observation(trial.number, log_error(top1, least)))
            continue
        epoch, epochs, *_ = _curve(trial)[-1]
        if (epoch, epochs) not in lines:
            lines[epoch, epochs] = _line(complete, position, epoch, epochs, least)
        line = lines[epoch, epochs]
        if line is not None:
            expected, variance = line.at((log_error(_best(trial, epoch), least), position[trial.number]))
            observed.append(Observation(trial.number, expected, variance))
    return observed


def transferred(earlier: Mapping[Network, float], here: Mapping[Network, float]) -> dict[Network, tuple[float, float]]:
    """Log errors of another study translated into those of this one, each with its variance.

    The translation is a line through the networks that were trained in both; the result is empty while these are too
    few for a line.
    """
    both = [(there, here[network]) for network, there in earlier.items() if network in here]
    line = fit_line([(there,) for there, _ in both], [end for _, end in both])
    return {network: line.at((there,)) for network, there in earlier.items()} if line else {}


def _line(
    complete: Sequence[FrozenTrial], position: Mapping[int, float], epoch: int, epochs: int, least: float
) -> Line | None:
    """The line from the best log error up to an epoch, and the cost position, to the final log error.

    None while too few complete trials have a curve of that length.
    """
    begun = [t for t in complete if (curve := _curve(t)) and curve[-1][1] == epochs and curve[0][0] <= epoch]
    features = [(log_error(_best(trial, epoch), least), position[trial.number]) for trial in begun]
    return fit_line(features, [log_error(_top1(trial) or 0.0, least) for trial in begun])


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
    """Best accuracy up to an epoch, which ranks unfinished networks better than the accuracy of that epoch does."""
    return max((row[2] for row in _curve(trial) if row[0] <= epoch), default=0.0)
