"""Full trainings: recipes, resumption, best weights, the test part read once at the end."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bsconv_nas.data import ImageData, TestData, load_search_data, load_test_data
from bsconv_nas.errors import UsageError
from bsconv_nas.models import get_model, model_costs
from bsconv_nas.nn.profile import ModelProfiler
from bsconv_nas.statistics.intervals import binomial_interval
from bsconv_nas.train import full
from bsconv_nas.train.average import WeightAverage
from bsconv_nas.train.full import FullTraining, finished_result
from bsconv_nas.train.recipe import FULL_RECIPES, Recipe

RECIPE = Recipe(epochs=3, train_fraction=0.3, ema=0.9, flip=False, crop_padding=1, batch_size=32, learning_rate=0.05)


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load_search_data("digits")


def training(data: ImageData, folder: Path, recipe: Recipe = RECIPE) -> FullTraining:
    torch.manual_seed(0)
    model = get_model("cifar_resnet20_bsconvs_p1d4", 10)
    return FullTraining("resnet", model, data, recipe, seed=3, folder=folder, device="cpu")


def test_interrupted_training_ends_with_the_same_result(digits: ImageData, tmp_path: Path) -> None:
    def load_test() -> TestData:
        return load_test_data("digits")

    whole = training(digits, tmp_path / "whole")
    steps: list[tuple[int, int]] = []
    assert [result.epoch for result in whole.run(lambda *step: steps.append(step))] == [1, 2, 3]
    assert [done for done, _ in steps] == list(range(1, steps[0][1] + 1))
    expected = whole.finish(load_test)

    interrupted = training(digits, tmp_path / "parts").run()
    next(interrupted)
    interrupted.close()
    resumed = training(digits, tmp_path / "parts")
    list(resumed.run())
    found = resumed.finish(load_test)
    assert (found.val_top1, found.test_top1, found.best_epoch) == (
        expected.val_top1,
        expected.test_top1,
        expected.best_epoch,
    )
    whole_weights, weights = whole.network.state_dict(), resumed.network.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in whole_weights.items())
    assert json.loads((tmp_path / "parts/result.json").read_text())["test_images"] == 359
    assert (tmp_path / "parts/log.csv").read_text().count("\n") == 4
    assert not (tmp_path / "parts/checkpoint.safetensors").exists()


def test_best_epoch_is_kept_by_validation(digits: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accuracies: Iterator[float] = iter([0.2, 0.9, 0.4])
    kept: list[float] = []
    monkeypatch.setattr("bsconv_nas.train.loop.evaluate_top1", lambda *_: next(accuracies))
    monkeypatch.setattr(full, "save_weights", lambda path, network: kept.append(1.0))
    run = training(digits, tmp_path)
    list(run.run())
    assert run.best.epoch == 2
    assert len(kept) == 2


def test_test_part_is_not_read_before_the_end(
    digits: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the test part was read")

    monkeypatch.setattr("bsconv_nas.data.digits.load_digits_test", refuse)
    list(training(digits, tmp_path).run())


def test_finished_training_is_not_repeated_and_not_mixed_up(digits: ImageData, tmp_path: Path) -> None:
    done = training(digits, tmp_path, RECIPE.model_copy(update={"epochs": 1}))
    assert finished_result(tmp_path, done.key) is None
    list(done.run())
    result = done.finish(lambda: load_test_data("digits"))
    assert finished_result(tmp_path, done.key) == result
    with pytest.raises(UsageError, match="another training"):
        finished_result(tmp_path, training(digits, tmp_path).key)


def test_unfinished_training_of_other_settings_is_refused(digits: ImageData, tmp_path: Path) -> None:
    begun = training(digits, tmp_path).run()
    next(begun)
    begun.close()
    assert finished_result(tmp_path, training(digits, tmp_path).key) is None
    other = training(digits, tmp_path, RECIPE.model_copy(update={"learning_rate": 0.01}))
    with pytest.raises(UsageError, match=r"another training \(resnet, other settings"):
        finished_result(tmp_path, other.key)


def test_seed_recipe_is_that_of_the_original_script() -> None:
    recipe = FULL_RECIPES["seed"]
    steps = 200 * 10
    rates = [recipe.learning_rate_at(epoch * 10, steps) for epoch in (0, 99, 100, 149, 150, 179, 180, 199)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 1e-3, 1e-3, 1e-4, 1e-4])
    assert (recipe.batch_size, recipe.momentum, recipe.weight_decay, recipe.orthonormal_alpha) == (128, 0.9, 1e-4, 0.1)
    assert recipe.decay_all
    assert not recipe.nesterov
    assert recipe.label_smoothing == 0


@given(st.integers(0, 500), st.integers(1, 500))
def test_interval_contains_the_accuracy(correct: int, count: int) -> None:
    top1 = min(correct, count) / count
    low, high = binomial_interval(top1, count)
    assert 0 <= low <= top1 <= high <= 1
    assert low < high


def test_interval_of_a_known_case() -> None:
    # 40 of 50: 0.6696 to 0.8876, the Wilson interval without continuity correction as tabulated.
    assert binomial_interval(0.8, 50) == pytest.approx((0.66964, 0.88757), abs=2e-5)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if i % 24 == 0 else [pytest.mark.long])
        for i, name in enumerate(sorted(model_costs()))
    ],
)
def test_cost_table_is_what_profiles_say(name: str) -> None:
    with torch.device("meta"):
        model = get_model(name)
    found = ModelProfiler(model, (1, 3, *model.in_size))
    assert model_costs()[name] == (found.total_parameter_count, found.total_macs)


def test_averaged_weights_soon_forget_the_first_ones() -> None:
    # With a fixed share of 0.998 the average of 50 updates would still be nine tenths of where it began.
    network = nn.BatchNorm1d(3)
    average = WeightAverage(network, 0.998)
    torch.nn.init.constant_(network.weight, 5)
    network.num_batches_tracked.fill_(7)  # type: ignore[operator]
    for step in range(50):
        average.update(step)
    assert isinstance(average.network, nn.BatchNorm1d)
    torch.testing.assert_close(average.network.weight, network.weight)
    assert average.network.num_batches_tracked == 7
    torch.nn.init.constant_(network.weight, 6)
    average.update(50)
    torch.testing.assert_close(average.network.weight, torch.full((3,), 5 + 10 / 60))


def test_modern_recipe_learns_within_few_epochs(digits: ImageData, tmp_path: Path) -> None:
    recipe = FULL_RECIPES["modern"].model_copy(update={"epochs": 4, "flip": False})
    run = training(digits, tmp_path, recipe.for_data(len(digits.train_images), 8))
    list(run.run())
    assert run.best.top1 > 0.5
