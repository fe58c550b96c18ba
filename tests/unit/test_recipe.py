"""The learning-rate schedule and the default recipe."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsconv_nas.train.recipe import Recipe, default_recipe, usual_small_first


@given(st.integers(1, 400), st.floats(0, 0.9), st.floats(0.01, 2))
def test_the_schedule_is_a_triangle(steps: int, warmup: float, peak: float) -> None:
    recipe = Recipe(learning_rate=peak, warmup=warmup)
    rates = [recipe.learning_rate_at(step, steps) for step in range(steps)]
    assert all(0 < rate <= peak for rate in rates)
    # The midpoint rule is exact on each side of the peak and off only in the step that holds it.
    assert sum(rates) == pytest.approx(peak * steps / 2, abs=peak)
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] <= peak / (steps * (1 - warmup)) or steps == 1


def test_the_schedule_ends_near_zero() -> None:
    recipe = Recipe(learning_rate=0.2, warmup=0.25)
    assert recipe.learning_rate_at(99, 100) == pytest.approx(0.2 * 0.5 / 75)
    assert recipe.learning_rate_at(0, 100) == pytest.approx(0.2 * 0.5 / 25)


@pytest.mark.parametrize("images", [2, 10, 100, 1438, 50_000, 10**6])
@pytest.mark.parametrize("size", [4, 8, 32, 224, 520, 1024])
def test_there_is_a_recipe_for_all_data(images: int, size: int) -> None:
    recipe = default_recipe(images, size, flip=True, epochs=3)
    assert recipe.epochs == 3
    assert recipe.batch_size == 8 or images >= 16 * recipe.batch_size
    assert 1 <= recipe.crop_padding <= max(1, size // 8)
    assert recipe.steps_per_epoch(images) >= 1


def test_float32_has_the_identity_of_recipes_before_there_was_a_choice() -> None:
    assert "precision" not in Recipe().identity
    assert "precision" in Recipe(precision="bfloat16").identity
    assert Recipe().identity != Recipe(epochs=9).identity


def test_recipes_for_small_images_have_the_identity_of_before_there_were_resized_crops() -> None:
    assert "crop_scale" not in Recipe().for_data(10_000, 95).identity
    assert "crop_scale" in Recipe().for_data(10_000, 96).identity
    assert Recipe().for_data(10_000, 96).crop_scale == 0.35


def test_the_first_epochs_may_have_smaller_images() -> None:
    recipe = Recipe(epochs=5, small_first=0.5)
    assert [recipe.image_scale(epoch) for epoch in range(5)] == [0.75, 0.75, 1, 1, 1]
    assert recipe.whole_epochs == 2 * 0.75**2 + 3
    assert Recipe(epochs=1, small_first=0.9).image_scale(0) == 1  # the last epoch is of what is validated
    assert Recipe(epochs=3).whole_epochs == 3


def test_whole_images_have_the_identity_of_before_there_were_smaller_ones() -> None:
    assert "small" not in Recipe().identity
    assert "small" not in Recipe(small_scale=0.5).identity
    assert len({Recipe().identity, *(Recipe(small_first=0.5, small_scale=s).identity for s in (0.5, 0.75))}) == 3


@pytest.mark.parametrize(
    ("size", "device", "share"),
    [
        (8, "cpu", 0),
        (31, "cpu", 0),
        (32, "cpu", 0.5),
        (64, "cpu", 0.5),
        (65, "cpu", 0),
        (224, "cpu", 0),
        (32, "cuda", 0),
    ],
)
def test_smaller_images_come_first_where_that_was_measured(size: int, device: str, share: float) -> None:
    assert usual_small_first(size, device) == share
