"""Identities of recipes, letter by letter as studies and checkpoints have stored them.

A study is refused when the identity of its training differs from the stored one, and so is a checkpoint. So these texts
never change: a field that is added to `Recipe` must be left out of them at its default (see `Recipe.identity`), and no
field may be renamed or move. A test that fails here is not mended by another text.
"""

import json

import pytest

from bsconv_nas.train.recipe import FULL_RECIPES, Recipe, default_recipe

CIFAR = (
    '{"epochs":2,"train_fraction":1.0,"batch_size":128,"learning_rate":0.2,"warmup":0.25,"schedule":"triangle",'
    '"milestones":[],"momentum":0.9,"nesterov":true,"weight_decay":0.0005,"decay_all":false,"ema":0.0,'
    '"label_smoothing":0.1,"orthonormal_alpha":0.1,"crop_padding":4,"flip":true}'
)
DIGITS = (
    '{"epochs":20,"train_fraction":1.0,"batch_size":64,"learning_rate":0.1,"warmup":0.25,"schedule":"triangle",'
    '"milestones":[],"momentum":0.9,"nesterov":true,"weight_decay":0.0005,"decay_all":false,"ema":0.0,'
    '"label_smoothing":0.1,"orthonormal_alpha":0.1,"crop_padding":1,"flip":false}'
)
LARGE = (
    '{"epochs":8,"train_fraction":1.0,"batch_size":128,"learning_rate":0.2,"warmup":0.25,"schedule":"triangle",'
    '"milestones":[],"momentum":0.9,"nesterov":true,"weight_decay":0.0005,"decay_all":false,"ema":0.0,'
    '"label_smoothing":0.1,"orthonormal_alpha":0.1,"crop_padding":28,"crop_scale":0.35,"flip":true}'
)
SMALL_FIRST = (
    '{"epochs":8,"train_fraction":1.0,"small_first":0.5,"small_scale":0.75,"batch_size":128,"learning_rate":0.2,'
    '"warmup":0.25,"schedule":"triangle","milestones":[],"momentum":0.9,"nesterov":true,"weight_decay":0.0005,'
    '"decay_all":false,"ema":0.0,"label_smoothing":0.1,"orthonormal_alpha":0.1,"crop_padding":4,"flip":true}'
)
MODERN = (
    '{"epochs":100,"train_fraction":1.0,"batch_size":128,"learning_rate":0.2,"warmup":0.25,"schedule":"triangle",'
    '"milestones":[],"momentum":0.9,"nesterov":true,"weight_decay":0.0005,"decay_all":false,"ema":0.998,'
    '"label_smoothing":0.1,"orthonormal_alpha":0.1,"crop_padding":4,"flip":true}'
)
SEED = (
    '{"epochs":200,"train_fraction":1.0,"batch_size":128,"learning_rate":0.1,"warmup":0.25,"schedule":"steps",'
    '"milestones":[100,150,180],"momentum":0.9,"nesterov":false,"weight_decay":0.0001,"decay_all":true,"ema":0.0,'
    '"clip_norm":0.0,"label_smoothing":0.0,"orthonormal_alpha":0.1,"crop_padding":4,"flip":true}'
)


@pytest.mark.parametrize(
    ("recipe", "identity"),
    [
        # studies/cifar10-6M and studies/cifar10-6M-short, from before there were clip_norm, small_first and precision
        pytest.param(default_recipe(45_000, 32, True, 2), CIFAR, id="cifar10-6M"),
        pytest.param(
            default_recipe(45_000, 32, True, 4, 0.3),
            CIFAR.replace('"epochs":2,"train_fraction":1.0', '"epochs":4,"train_fraction":0.3'),
            id="cifar10-6M-short",
        ),
        pytest.param(default_recipe(1_151, 8, False, 20), DIGITS, id="digits"),
        pytest.param(default_recipe(4_000, 224, True, 8), LARGE, id="large images"),
        pytest.param(default_recipe(45_000, 32, True, 8, small_first=0.5), SMALL_FIRST, id="smaller images first"),
        pytest.param(
            default_recipe(45_000, 32, True, 2, precision="bfloat16"),
            CIFAR.replace('"flip":true', '"flip":true,"precision":"bfloat16"'),
            id="bfloat16",
        ),
        pytest.param(FULL_RECIPES["modern"], MODERN, id="modern"),
        pytest.param(FULL_RECIPES["seed"], SEED, id="seed"),
        pytest.param(Recipe(), CIFAR.replace('"epochs":2', '"epochs":8'), id="the defaults"),
    ],
)
def test_identities_are_those_that_are_stored(recipe: Recipe, identity: str) -> None:
    assert recipe.identity == identity


def test_what_goes_without_saying_is_said_at_every_other_value() -> None:
    others = {"precision": "bfloat16", "crop_scale": 0.5, "clip_norm": 5.0, "small_first": 0.5}
    for name, value in others.items():
        assert json.loads(Recipe().model_copy(update={name: value}).identity)[name] == value
