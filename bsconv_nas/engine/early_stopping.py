"""Early stopping: which trainings are worth going on with. To add a rule: a row in `EARLY_STOPPING`."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Protocol

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


# Rules by the name on the command line.
EARLY_STOPPING: Mapping[str, SuccessiveHalving | ForecastStopping | None] = {
    "none": None,
    "asha": SuccessiveHalving(),
    "forecast": ForecastStopping(),
}


def find_early_stopping(
    name: str, first_rung: int | None = None, reduction: float | None = None
) -> SuccessiveHalving | ForecastStopping | None:
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
    if reduction is not None and not isinstance(rule, SuccessiveHalving):
        raise UsageError(f"early stopping is {name!r}, which has no reduction factor; leave it out, or ask for asha")
    return replace(rule, **given)
