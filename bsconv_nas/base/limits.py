"""Upper bounds on costs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from bsconv_nas.base.text import did_you_mean
from bsconv_nas.base.units import format_amount, parse_amount, parse_milliseconds
from bsconv_nas.errors import UsageError


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds by cost name, for example `{"macs": 300e6}`; empty for none.

    Raises:
        UsageError: a bound that is not a positive number.
    """

    bounds: Mapping[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        for name, bound in self.bounds.items():
            if not isinstance(bound, int | float) or not 0 < bound < math.inf:  # pyright: ignore[reportUnnecessaryIsInstance]
                raise UsageError(f"limit {name} is {bound!r}; allowed: a positive number, for example 300e6")
        object.__setattr__(self, "bounds", MappingProxyType({k: float(v) for k, v in self.bounds.items()}))

    def check_names(self, known: Mapping[str, float]) -> None:
        """Refuse bounds on costs that a network does not have.

        Raises:
            UsageError: an unknown name.
        """
        for name in self.bounds:
            if name not in known:
                raise UsageError(f"limit on unknown cost {name!r}; {did_you_mean(name, known)}")

    def allow(self, costs: Mapping[str, float]) -> bool:
        """Whether every bound holds."""
        return all(costs[name] <= bound for name, bound in self.bounds.items())

    def excess(self, costs: Mapping[str, float]) -> float:
        """Largest ratio of a cost to its bound: at most 1 when every bound holds, 0 without bounds."""
        return max((costs[name] / bound for name, bound in self.bounds.items()), default=0.0)

    def __str__(self) -> str:
        return ", ".join(f"{name} <= {format_amount(bound)}" for name, bound in self.bounds.items()) or "none"


def parse_bound(name: str, text: str, what: str) -> float:
    """Read a bound: an amount such as `300M`, of costs that end in `_ms` milliseconds such as `2.5`.

    Raises:
        UsageError: not positive, or no such number; `what` names it.
    """
    return parse_milliseconds(text, what) if name.endswith("_ms") else parse_amount(text, what)
