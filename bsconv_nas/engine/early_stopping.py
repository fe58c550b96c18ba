"""Early stopping: which trainings are worth going on with. To add a rule: a row in `EARLY_STOPPING`."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from inspect import getdoc
from typing import Any, Protocol

from bsconv_nas.base.text import did_you_mean
from bsconv_nas.engine.forecast import ForecastStopping
from bsconv_nas.engine.successive_halving import SuccessiveHalving
from bsconv_nas.errors import UsageError
from bsconv_nas.evaluation import Curve


class StoppingRule(Protocol):
    """Decides after each epoch, from what the study stores alone."""

    def continues(self, cost: float, curve: Curve, others: Iterable[tuple[float, Curve]]) -> bool:
        """Whether a trial with this curve so far goes on; `others` are costs and curves of all other trials."""
        ...


# Rules by the name on the command line, with their default values; None stops nothing. A rule that is a dataclass takes
# those of `OPTIONS` for which it has a field; the first line of its docstring is its help.
EARLY_STOPPING: dict[str, StoppingRule | None] = {
    "none": None,
    "forecast": ForecastStopping(),
    "asha": SuccessiveHalving(),
}

# Settings (on the command line `--grace-period` and `--reduction-factor`), and the field of a rule that each one sets.
OPTIONS: Mapping[str, str] = {"grace_period": "first_rung", "reduction_factor": "reduction"}


def options_of(name: str) -> frozenset[str]:
    """Those of `OPTIONS` that the rule of that name takes."""
    rule = EARLY_STOPPING[name]
    names = {field.name for field in fields(rule) if field.init} if is_dataclass(rule) else set[str]()
    return frozenset(option for option, field in OPTIONS.items() if field in names)


def find_early_stopping(name: str, options: Mapping[str, float | None] | None = None) -> StoppingRule | None:
    """The rule of that name, with the fields that `options` name (see `OPTIONS`) changed; None stops nothing.

    An option that is None keeps the rule's default.

    Raises:
        UsageError: unknown name, values that are not allowed, or an option that the rule does not take.
    """
    if name not in EARLY_STOPPING:
        raise UsageError(f"unknown early stopping {name!r}; {did_you_mean(name, EARLY_STOPPING)}")
    chosen = {option: value for option, value in (options or {}).items() if value is not None}
    for option in (option for option in chosen if option not in options_of(name)):
        raise UsageError(_not_taken(name, option))
    rule: Any = EARLY_STOPPING[name]
    return replace(rule, **{OPTIONS[option]: value for option, value in chosen.items()}) if chosen else rule


def rules_that_take(option: str) -> list[str]:
    """Names of the rules that take one of `OPTIONS`."""
    return [name for name in EARLY_STOPPING if option in options_of(name)]


def rules_help() -> str:
    """The names of all rules, each with what it does."""
    return "; ".join(name if rule is None else f"{name}: {_summary(rule)}" for name, rule in EARLY_STOPPING.items())


def _summary(rule: StoppingRule) -> str:
    text = (getdoc(type(rule)) or "no description").splitlines()[0].rstrip(".")
    return text[:1].lower() + text[1:]


def _not_taken(name: str, option: str) -> str:
    able = rules_that_take(option)
    instead = f", or ask for {' or '.join(able)}" if able else ""
    return f"early stopping {name!r} has no {option.replace('_', ' ')}; leave it out{instead}"
