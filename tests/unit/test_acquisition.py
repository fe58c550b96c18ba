"""The closed form of expected improvement against its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsconv_nas.pareto import hypervolume
from bsconv_nas.samplers.acquisition import FrontSteps, expected_drop, expected_improvement, low_end

POSITIONS = [0.1, 0.3, 0.35, 0.8]
ERRORS = [0.5, 0.3, 0.4, 0.1]
FLOOR, END = 0.6, 1.05


def _gain(position: float, error: float) -> float:
    accuracies = [1 - e for e in ERRORS]
    before = hypervolume(POSITIONS, accuracies, END, 1 - FLOOR)
    return hypervolume([*POSITIONS, position], [*accuracies, 1 - error], END, 1 - FLOOR) - before


@pytest.mark.parametrize("position", [0.0, 0.1, 0.2, 0.33, 0.8, 0.95, 1.05])
@pytest.mark.parametrize(("mean", "deviation"), [(-0.4, 0.1), (-1.0, 0.3), (-2.0, 0.5), (-3.0, 1.0)])
def test_the_closed_form_is_the_mean_gain_in_hypervolume(position: float, mean: float, deviation: float) -> None:
    draws = np.exp(np.random.default_rng(0).normal(mean, deviation, 4000))
    gains = np.array([_gain(position, error) for error in draws])
    steps = FrontSteps.of(POSITIONS, ERRORS, FLOOR, END)
    found = expected_improvement(steps, np.array([position]), np.array([mean]), np.array([deviation]))
    assert found[0] == pytest.approx(gains.mean(), abs=5 * gains.std() / len(gains) ** 0.5 + 1e-6)


@given(st.floats(0.0, 1.2), st.floats(0.01, 0.99))
def test_without_uncertainty_it_is_the_gain_itself(position: float, error: float) -> None:
    steps = FrontSteps.of(POSITIONS, ERRORS, FLOOR, END)
    found = expected_improvement(steps, np.array([position]), np.log(np.array([error])), np.zeros(1))
    assert found[0] == pytest.approx(_gain(position, error), abs=1e-9)


@given(st.floats(0.01, 1.0), st.floats(-30, 5), st.floats(0.0, 3.0))
def test_the_expected_drop_lies_between_its_bounds(strike: float, mean: float, deviation: float) -> None:
    found = float(expected_drop(np.array(strike), np.array(mean), np.array(deviation)))
    by_mean = max(0.0, strike - float(np.exp(mean + deviation**2 / 2)))  # Jensen
    assert by_mean - 1e-9 <= found <= strike + 1e-12


def test_far_behind_the_front_the_gain_vanishes_without_rounding_noise() -> None:
    deviations = np.array([0.01, 0.02, 0.05])
    found = expected_drop(np.array(0.1), np.array(-1.0), deviations)
    assert (np.diff(found) >= 0).all()
    assert found.max() < 1e-30


def test_points_at_the_floor_or_dominated_are_no_steps() -> None:
    steps = FrontSteps.of([0.0, *POSITIONS], [0.7, *ERRORS], FLOOR, END)
    assert steps.members == (1, 2, 4)
    assert steps.error_at(np.array([-1.0, 0.1, 0.29, 0.3, 2.0])).tolist() == [0.6, 0.5, 0.5, 0.3, 0.1]


def test_without_any_network_there_is_only_the_floor() -> None:
    steps = FrontSteps.of([], [], 1.0, 1.0)
    found = expected_improvement(steps, np.array([0.25]), np.log(np.array([0.4])), np.zeros(1))
    assert found[0] == pytest.approx(0.75 * 0.6)


@pytest.mark.parametrize(
    ("errors", "floor"),
    [
        ([0.5, 0.3, 0.1], 0.54),
        ([0.9, 0.2, 0.15, 0.1], 0.21),  # the first learned nothing
        ([0.9, 0.2, 0.1], 0.21),
        ([0.8, 0.4, 0.2], 0.86),  # as far from the second as that one from the third: it did learn
        ([0.5, 0.1], 0.54),
        ([1.0, 0.5, 0.1], 1.0),
        ([0.3], 1.0),
        ([], 1.0),
    ],
)
def test_the_floor_lies_below_the_smallest_network_that_learned(errors: list[float], floor: float) -> None:
    assert low_end([float(i) for i in range(len(errors))], errors) == pytest.approx(floor)
