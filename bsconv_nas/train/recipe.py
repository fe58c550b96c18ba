"""How networks are trained: hyperparameters with their units, and the learning-rate schedule."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from bsconv_nas.base.toml_files import TomlModel

Precision = Literal["float32", "bfloat16"]

_LARGE = 96  # pixels from which images are cut and stretched; smaller ones would lose what little they show
_LARGE_CROP_SCALE = 0.35

_SMALL_FIRST = 0.5
_SMALL_FIRST_SIZES = range(32, 65)  # pixels


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class Recipe(TomlModel):
    """Hyperparameters of a training by SGD.

    Schedule "triangle": the learning rate rises linearly over `warmup` of all steps and falls linearly to zero.
    Schedule "steps": it is divided by ten at each of `milestones`. Defaults follow what short CIFAR trainings have
    settled on (peak rate for batch 128, scaled in proportion).
    """

    epochs: Annotated[int, Field(ge=1, le=10_000)] = 8
    train_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0  # of the training images, drawn anew for each epoch
    small_first: Annotated[float, Field(ge=0, lt=1)] = 0.0  # share of the epochs, the first ones, with smaller images
    small_scale: Annotated[float, Field(gt=0, le=1)] = 0.75  # their side, as a share of the whole one
    batch_size: Annotated[int, Field(ge=2, le=65_536)] = 128  # images
    learning_rate: Annotated[float, Field(gt=0)] = 0.2  # peak, per step at batch_size
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.25  # share of all steps
    schedule: Literal["triangle", "steps"] = "triangle"
    milestones: Annotated[tuple[int, ...], BeforeValidator(_as_tuple)] = ()  # epochs, for "steps"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    nesterov: bool = True
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    decay_all: bool = False  # also biases and normalisation; otherwise convolution and linear weights only
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0  # share of the old average kept at each step; 0: no averaging
    clip_norm: Annotated[float, Field(ge=0)] = 10.0  # longest gradient of all weights; 0: any. Most are of 1 to 5
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
    orthonormal_alpha: Annotated[float, Field(ge=0)] = 0.1  # weight of the BSConv-S regulariser, as in the paper
    crop_padding: Annotated[int, Field(ge=0, le=64)] = 4  # pixels of random shift in each direction
    crop_scale: Annotated[float, Field(gt=0, le=1)] = 1.0  # least area of a part that is stretched; 1: shift instead
    flip: bool = True  # mirror half of the images, left to right
    precision: Precision = "float32"  # of products and activations; weights and batch statistics stay float32

    @property
    def identity(self) -> str:
        """Text that tells recipes apart; fields that came later go without saying at their defaults."""
        later = {
            "precision": self.precision == "float32",
            "crop_scale": self.crop_scale == 1,
            "clip_norm": self.clip_norm == 10,
            "small_first": self.small_first == 0,
            "small_scale": self.small_first == 0,
        }
        return self.model_dump_json(exclude={name for name, default in later.items() if default})

    def steps_per_epoch(self, images: int) -> int:
        """Batches of an epoch over a training part of `images` images; at least 1."""
        return max(1, round(images * self.train_fraction) // self.batch_size)

    def for_data(self, images: int, image_size: int) -> "Recipe":
        """This recipe for a training part of `images` images of `image_size` pixels.

        The batch shrinks with the data so that an epoch keeps at least 16 steps, and the rate with the batch; images
        are shifted by an eighth of their size, or from 96 pixels on cut to at least 35 % of their area.
        """
        batch_size = self.batch_size
        while batch_size > 8 and images * self.train_fraction < 16 * batch_size:
            batch_size //= 2
        rate = self.learning_rate * max(batch_size, 32) / max(self.batch_size, 32)
        padding = min(64, max(1, image_size // 8))
        scale = _LARGE_CROP_SCALE if image_size >= _LARGE else self.crop_scale
        changes = {"batch_size": batch_size, "learning_rate": rate, "crop_padding": padding, "crop_scale": scale}
        return self.model_copy(update=changes)

    @property
    def small_epochs(self) -> int:
        """Number of epochs, the first ones, with smaller images."""
        return int(self.small_first * self.epochs)

    @property
    def whole_epochs(self) -> float:
        """Epochs with whole images that take about as long, as time follows the pixels."""
        return self.small_epochs * self.small_scale**2 + (self.epochs - self.small_epochs)

    def image_scale(self, epoch: int) -> float:
        """Side of the training images in epoch 0 <= `epoch` < `epochs`, as a share of the whole one."""
        return self.small_scale if epoch < self.small_epochs else 1.0

    def learning_rate_at(self, step: int, steps: int) -> float:
        """Learning rate of step 0 <= `step` < `steps`."""
        if self.schedule == "steps":
            epoch = step * self.epochs // steps
            return self.learning_rate * 0.1 ** sum(epoch >= milestone for milestone in self.milestones)
        rising = self.warmup * steps
        position = step + 0.5
        if position < rising:
            return self.learning_rate * position / rising
        return self.learning_rate * (steps - position) / (steps - rising)


def default_recipe(
    images: int,
    image_size: int,
    flip: bool,
    epochs: int,
    train_fraction: float = 1.0,
    precision: Precision = "float32",
    small_first: float = 0.0,
) -> Recipe:
    """The recipe of brief trainings on `images` images of `image_size` pixels."""
    recipe = Recipe(
        epochs=epochs, train_fraction=train_fraction, small_first=small_first, flip=flip, precision=precision
    )
    return recipe.for_data(images, image_size)


def usual_small_first(image_size: int, device: str) -> float:
    """Share of the epochs of a brief training on smaller images: a half where that was measured to pay, else 0.

    At 32 pixels it ranks 60 networks as whole images do, in 0.78 of the time on a CPU (benchmarks/README.md, Fidelity).
    Images of other spaces' sizes were not measured, nor GPUs, where small networks wait for the start of their steps.
    """
    return _SMALL_FIRST if device == "cpu" and image_size in _SMALL_FIRST_SIZES else 0.0


# Recipes of full trainings, for `train --recipe NAME`. `seed` is that of the original bsconv library's script; its
# weight decay of 1e-4 is reported not to reach the published MobileNetV3 accuracies, which take 5e-4.
FULL_RECIPES: dict[str, Recipe] = {
    "modern": Recipe(epochs=100, ema=0.998),
    "seed": Recipe(
        epochs=200,
        learning_rate=0.1,
        schedule="steps",
        milestones=(100, 150, 180),
        nesterov=False,
        weight_decay=1e-4,
        decay_all=True,
        clip_norm=0.0,
        label_smoothing=0.0,
    ),
}
