import math
from typing import Any

import pytest

from bsconv_nas.base.limits import Limits
from bsconv_nas.errors import UsageError


@pytest.mark.parametrize("bound", [0, -1, math.nan, math.inf, None, "300M"])
def test_only_positive_finite_numbers_are_bounds(bound: Any) -> None:
    with pytest.raises(UsageError, match=r"limit macs is .*; allowed: a positive number"):
        Limits({"macs": bound})


def test_a_bound_itself_is_allowed() -> None:
    limits = Limits({"macs": 100, "params": 10})
    assert limits.allow({"macs": 100, "params": 10, "other": 1e9})
    assert not limits.allow({"macs": 101, "params": 1})
    assert not limits.allow({"macs": 1, "params": 10.5})


def test_excess_is_the_largest_ratio() -> None:
    limits = Limits({"macs": 100, "params": 10})
    assert limits.excess({"macs": 50, "params": 20}) == 2
    assert limits.excess({"macs": 100, "params": 10}) == 1
    assert Limits().excess({"macs": 1e12}) == 0


def test_no_bounds_allow_everything() -> None:
    assert Limits().allow({"macs": 1e30})
    assert str(Limits()) == "none"


def test_unknown_costs_are_named_with_the_nearest_known() -> None:
    with pytest.raises(UsageError, match="'mac'; did you mean 'macs'"):
        Limits({"mac": 5}).check_names({"macs": 1, "params": 2})


def test_bounds_cannot_be_changed() -> None:
    given = {"macs": 5}
    limits = Limits(given)
    given["macs"] = 9
    assert limits.bounds["macs"] == 5
    with pytest.raises(TypeError):
        limits.bounds["macs"] = 7  # type: ignore[index]


def test_text_is_readable() -> None:
    assert str(Limits({"macs": 300e6, "params": 1234})) == "macs <= 300M, params <= 1.23k"
