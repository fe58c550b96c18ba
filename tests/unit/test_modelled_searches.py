"""Searches of a model of trainings: the model, the area, and that the whole of it runs."""

import pytest

from benchmarks.accuracy_traits import Trainings
from benchmarks.modelled_searches import accuracy_model, area, searched, summary
from bsconv_nas import search
from bsconv_nas.networks.traits import EXPECTED
from bsconv_nas.pareto import CostAxis
from bsconv_nas.spaces.files import find_space
from bsconv_nas.spaces.networks import ArchSpace

SPACE = ArchSpace(find_space("cifar"), (32, 32), 10)


def test_the_area_is_that_of_the_steps() -> None:
    axis = CostAxis(1.0, 100.0)
    assert area([(1.0, 1.0)], axis, 0.2) == pytest.approx(1)
    assert area([(10.0, 0.6), (1.0, 0.4), (50.0, 0.5)], axis, 0.2) == pytest.approx((0.5 * 0.2 + 0.5 * 0.4) / 0.8)
    assert area([(1.0, 0.1)], axis, 0.2) == 0


def test_searches_of_a_model_find_better_networks_with_more_trainings() -> None:
    real = search(SPACE, lambda g: 0.4 + 0.2 * SPACE.traits(g)["width"] / 5, {"macs": 6e6}, "random", trials=12)
    trainings = Trainings(EXPECTED, [real], 6e6)
    accuracy = accuracy_model(trainings)
    for record in real.records:
        assert accuracy(record.genotype) == pytest.approx(record.top1, abs=0.02)
    run = searched(trainings.space, accuracy, "known-cost", 6e6, 12, 0.0, 0)
    found = summary([run], trainings.axis, 0.3)
    assert list(found) == ["8", "12"]
    assert 0 < found["8"]["area"] <= found["12"]["area"] < 1
    assert found["12"]["best within 6M"] == pytest.approx(max(top1 for _, top1 in run), abs=1e-4)
