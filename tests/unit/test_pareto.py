"""Fronts and hypervolume against closed forms and brute force."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsconv_nas.pareto import CommonFront, CostAxis, front_indices, hypervolume

POINTS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=14)


def _dominates(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return a[0] <= b[0] and a[1] >= b[1] and a != b


@given(POINTS)
def test_the_front_is_what_no_other_point_dominates(points: list[tuple[int, int]]) -> None:
    chosen = front_indices([c for c, _ in points], [a for _, a in points])
    expected = {p for p in points if not any(_dominates(other, p) for other in points)}
    assert [points[i] for i in chosen] == sorted(expected)
    assert all(points.index(points[i]) == i for i in chosen)


@given(POINTS, st.integers(0, 12), st.integers(0, 12))
def test_hypervolume_is_the_number_of_dominated_cells(points: list[tuple[int, int]], limit: int, floor: int) -> None:
    cells = np.zeros((13, 13), dtype=bool)
    for cost, accuracy in points:
        cells[cost:limit, floor:accuracy] = True
    assert hypervolume([c for c, _ in points], [a for _, a in points], limit, floor) == cells.sum()


@given(POINTS, st.tuples(st.integers(0, 12), st.integers(0, 12)))
def test_another_point_never_shrinks_the_hypervolume(points: list[tuple[int, int]], point: tuple[int, int]) -> None:
    before = hypervolume([c for c, _ in points], [a for _, a in points], 12, 0)
    after = hypervolume([c for c, _ in [*points, point]], [a for _, a in [*points, point]], 12, 0)
    assert after >= before


def test_hypervolume_of_a_staircase() -> None:
    steps = 100
    costs = [i / steps for i in range(steps)]
    assert hypervolume(costs, costs, 1.0, 0.0) == pytest.approx((1 - 1 / steps) / 2)


@pytest.mark.parametrize(
    ("point", "area"),
    [((0.25, 0.5), 0.375), ((1.0, 0.9), 0.0), ((1.5, 0.9), 0.0), ((0.5, 0.0), 0.0), ((0.5, -1.0), 0.0), ((0, 1), 1.0)],
)
def test_hypervolume_of_one_point(point: tuple[float, float], area: float) -> None:
    assert hypervolume([point[0]], [point[1]], 1.0, 0.0) == pytest.approx(area)


def test_nothing_dominates_nothing() -> None:
    assert front_indices([], []) == []
    assert hypervolume([], [], 1.0, 0.0) == 0.0


def test_equal_ratios_of_cost_are_equally_far_apart() -> None:
    axis = CostAxis(cheapest=1e6, limit=1e8)
    assert [axis.position(c) for c in (1e6, 1e7, 1e8)] == pytest.approx([0.0, 0.5, 1.0])
    assert axis.position(1e5) == pytest.approx(-0.5)
    assert math.isfinite(axis.position(0.0))


def test_costs_without_a_logarithm_have_a_linear_axis() -> None:
    for cheapest in (-1.0, 0.0):  # a network of no cost is allowed, and has no logarithm either
        axis = CostAxis(cheapest, limit=cheapest + 4.0)
        assert [axis.position(cheapest + more) for more in (0.0, 2.0, 4.0)] == pytest.approx([0.0, 0.5, 1.0])


def test_costs_below_1_have_logarithms_too() -> None:
    axis = CostAxis(cheapest=0.25, limit=4.0)  # such as milliseconds
    assert [axis.position(c) for c in (0.25, 1.0, 4.0)] == pytest.approx([0.0, 0.5, 1.0])


def test_a_space_of_one_cost_has_one_position() -> None:
    assert CostAxis(cheapest=5.0, limit=5.0).position(5.0) == 0.0


COSTS, ACCURACIES = [1e6, 1e7, 1e8, 1e7], [0.5, 0.7, 0.9, 0.6]


def test_groups_of_networks_are_measured_by_the_front_of_all() -> None:
    front = CommonFront.of(COSTS, ACCURACIES, limit=1e8)
    # Positions 0, 1/2 and 1: the least accurate one is the floor, the one at the limit adds nothing.
    assert (front.axis, front.floor) == (CostAxis(1e6, 1e8), 0.5)
    assert front.best == pytest.approx(0.5 * 0.2)
    assert front.share(COSTS, ACCURACIES) == pytest.approx(1.0)
    assert front.share([1e7], [0.6]) == pytest.approx(0.5)
    assert front.share([10**7.5], [0.7]) == pytest.approx(0.5)
    assert front.share([1e6], [0.5]) == 0.0
    assert front.share([], []) == 0.0


def test_a_floor_may_be_asked_for() -> None:
    front = CommonFront.of(COSTS, ACCURACIES, limit=1e8, floor=0.0)
    assert front.floor == 0.0
    assert front.best == pytest.approx(0.5 * 0.5 + 0.5 * 0.7)
    assert front.share([1e7], [0.6]) == pytest.approx(0.5 * 0.6 / front.best)


def test_the_floor_is_that_of_the_front_and_not_of_all_networks() -> None:
    front = CommonFront.of([1.0, 2.0, 4.0], [0.5, 0.1, 0.9], limit=16.0)
    assert front.floor == 0.5
    assert front.best == pytest.approx(0.5 * 0.4)


def test_a_single_network_is_all_of_its_front() -> None:
    front = CommonFront.of([1e6], [0.5], limit=1e8)
    assert front.best == 0.0
    assert front.share([1e6], [0.5]) == 1.0
