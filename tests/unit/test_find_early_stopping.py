"""Early-stopping rules by name, with what a user changes of them."""

import pytest

from bsconv_nas.engine.early_stopping import find_early_stopping
from bsconv_nas.engine.forecast import ForecastStopping
from bsconv_nas.engine.successive_halving import SuccessiveHalving
from bsconv_nas.errors import UsageError


def test_what_is_asked_for_reaches_the_rule() -> None:
    assert find_early_stopping("asha", first_rung=3, reduction=4.0) == SuccessiveHalving(3, 4.0)
    assert find_early_stopping("asha", reduction=4.0) == SuccessiveHalving(None, 4.0)
    assert find_early_stopping("asha") == SuccessiveHalving()
    assert find_early_stopping("forecast", first_rung=3) == ForecastStopping(3)
    assert find_early_stopping("none") is None


@pytest.mark.parametrize("options", [{"first_rung": 3}, {"reduction": 4.0}])
def test_without_a_rule_there_is_nothing_to_set(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=r"'none'.*asha"):
        find_early_stopping("none", **options)  # type: ignore[arg-type]
