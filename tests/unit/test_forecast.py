"""Early stopping by forecast, and the line that forecasts."""

import math

import numpy as np
import pytest

from bsconv_nas.engine.early_stopping import find_early_stopping
from bsconv_nas.engine.forecast import ForecastStopping
from bsconv_nas.errors import UsageError
from bsconv_nas.evaluation import EpochResult
from bsconv_nas.statistics.extrapolation import fit_line

EPOCHS = 8
Trial = tuple[float, list[EpochResult]]


def _curve(*accuracies: float) -> list[EpochResult]:
    return [EpochResult(epoch, EPOCHS, top1) for epoch, top1 in enumerate(accuracies, 1)]


def _trial(final: float, cost: float = 1.0, epochs: int = EPOCHS) -> Trial:
    """A training whose error falls evenly, in logarithms, to that of its end."""
    return cost, _curve(*(1 - (1 - final) ** (epoch / EPOCHS) for epoch in range(1, epochs + 1)))


COMPLETE = [_trial(0.3 + 0.05 * i) for i in range(9)]


@pytest.mark.parametrize(
    ("rule", "epochs", "rungs"),
    [
        (ForecastStopping(), 8, [2, 3, 4, 5, 6, 7]),
        (ForecastStopping(), 20, [5, 8, 10, 13, 15, 18]),
        (ForecastStopping(), 5, [2, 3, 4]),
        (ForecastStopping(), 2, [1]),
        (ForecastStopping(), 1, []),
        (ForecastStopping(first_rung=1), 8, [1, 2, 3, 4, 5, 6, 7]),
        (ForecastStopping(first_rung=30), 20, []),
    ],
)
def test_rungs(rule: ForecastStopping, epochs: int, rungs: list[int]) -> None:
    assert rule.rungs(epochs) == rungs


@pytest.mark.parametrize("arguments", [{"first_rung": 0}, {"chance": 0.0}, {"chance": 1.0}, {"chance": math.nan}])
def test_refused_values(arguments: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="allowed"):
        ForecastStopping(**arguments)  # type: ignore[arg-type]


def test_settings_by_name() -> None:
    assert find_early_stopping("forecast", {"grace_period": 3}) == ForecastStopping(first_rung=3)
    with pytest.raises(UsageError, match="no reduction factor"):
        find_early_stopping("forecast", {"reduction_factor": 3})


def test_what_will_not_end_on_the_front_is_stopped() -> None:
    rule = ForecastStopping()
    assert not rule.continues(*_trial(0.3, epochs=4), COMPLETE)
    assert rule.continues(*_trial(0.72, epochs=4), COMPLETE)


def test_only_complete_networks_of_no_more_cost_are_to_be_beaten() -> None:
    rule = ForecastStopping()
    cost, curve = _trial(0.3, cost=1.0, epochs=4)
    dearer = [(2.0, other) for _, other in COMPLETE]
    assert rule.continues(cost, curve, dearer)
    assert not rule.continues(cost, curve, [*dearer, _trial(0.6)])
    assert rule.continues(cost, curve, [*dearer, _trial(0.6, epochs=7)])


def test_nothing_is_stopped_before_enough_is_known() -> None:
    rule = ForecastStopping()
    short = [[*_curve(0.1), EpochResult(2, 2, 0.9)] for _ in range(9)]
    assert rule.continues(*_trial(0.1, epochs=4), COMPLETE[-7:])
    assert rule.continues(*_trial(0.1, epochs=4), [(1.0, curve) for curve in short])
    assert rule.continues(1.0, [], COMPLETE)


def test_between_rungs_nothing_is_decided() -> None:
    rule = ForecastStopping(first_rung=5)
    assert rule.continues(*_trial(0.3, epochs=4), COMPLETE)
    assert not rule.continues(*_trial(0.3, epochs=5), COMPLETE)


def test_noise_makes_it_careful() -> None:
    telling = [_trial(0.4 + 0.01 * i) for i in range(20)]
    ends = np.random.default_rng(0).permutation(20)
    noisy = [(cost, [*curve[:4], *telling[end][1][4:]]) for (cost, curve), end in zip(telling, ends, strict=True)]
    own = _trial(0.55, epochs=4)
    assert not ForecastStopping().continues(*own, telling)
    assert ForecastStopping().continues(*own, noisy)


def test_the_line_is_found_with_its_uncertainty() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(0, 0.4, (300, 2))
    ends = -2.0 + 0.7 * features[:, 0] - 0.3 * features[:, 1] + rng.normal(0, 0.05, 300)
    line = fit_line(features.tolist(), ends.tolist())
    assert line is not None
    expected, variance = line.at((0.4, -0.4))
    assert expected == pytest.approx(-2.0 + 0.28 + 0.12, abs=0.02)
    assert variance == pytest.approx(0.05**2, rel=0.2)
    far, wide = line.at((40.0, 0.0))
    assert far == 0.0  # no error above 1
    assert wide > variance


def test_a_line_takes_four_trainings_and_begins_as_their_mean_difference() -> None:
    features, ends = [(-0.5, 1.0), (-0.6, 1.0), (-0.7, 1.0)], [-1.0, -1.1, -1.2]
    assert fit_line(features, ends) is None
    line = fit_line([*features, (-0.8, 1.0)], [*ends, -1.3])
    assert line is not None
    assert line.at((-0.9, 1.0))[0] == pytest.approx(-1.4, abs=1e-6)
