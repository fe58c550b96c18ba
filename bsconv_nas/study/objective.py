"""The cost that a search makes low, by name: the second objective of its study, beside accuracy."""

from collections.abc import Mapping
from typing import Any

from bsconv_nas.base.text import did_you_mean
from bsconv_nas.errors import SpaceError, UsageError

DEFAULT_OBJECTIVE = "macs"


def choose_objective(space_name: str, costs: Mapping[str, float], asked: str | None = None) -> str:
    """Name of the cost to make low: the one asked for, else `macs`, else the only cost of the space.

    `costs` are those of any network of the space.

    Raises:
        UsageError: the space does not have the cost asked for.
        SpaceError: nothing was asked for, and the space has no `macs` and not exactly one cost.
    """
    if asked is not None:
        if asked not in costs:
            raise UsageError(f"objective {asked!r} is no cost of space {space_name!r}; {did_you_mean(asked, costs)}")
        return asked
    if DEFAULT_OBJECTIVE in costs:
        return DEFAULT_OBJECTIVE
    if not costs:
        raise SpaceError(f"space {space_name!r} has no costs; return at least one, for example {{'macs': 12e6}}")
    if len(costs) > 1:
        names = ", ".join(costs)
        raise SpaceError(
            f"space {space_name!r} has several costs ({names}) and none is named {DEFAULT_OBJECTIVE!r}; "
            f"say which is to become low, for example objective={next(iter(costs))!r}"
        )
    return next(iter(costs))


def stored_objective(attributes: Mapping[str, Any]) -> str:
    """The objective of a study by its attributes; one made before objectives were stored makes MACs low."""
    return str(attributes.get("objective", DEFAULT_OBJECTIVE))
