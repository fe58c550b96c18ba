"""How networks are trained: hyperparameters with their units, and the learning-rate schedule."""

from typing import Annotated

from pydantic import Field

from bsconv_nas.toml_files import TomlModel


class Recipe(TomlModel):
    """Hyperparameters of a training.

    SGD with Nesterov momentum; the learning rate rises linearly over `warmup` of all steps and falls linearly to zero.
    Defaults follow what short CIFAR trainings have settled on (peak rate for batch 128, scaled in proportion).
    """

    epochs: Annotated[int, Field(ge=1, le=10_000)] = 8
    train_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0  # of the training images, drawn anew for each epoch
    batch_size: Annotated[int, Field(ge=2, le=65_536)] = 128  # images
    learning_rate: Annotated[float, Field(gt=0)] = 0.2  # peak, per step at batch_size
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.25  # share of all steps
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4  # on convolution and linear weights only
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
    orthonormal_alpha: Annotated[float, Field(ge=0)] = 0.1  # weight of the BSConv-S regulariser, as in the paper
    crop_padding: Annotated[int, Field(ge=0, le=64)] = 4  # pixels of random shift in each direction
    flip: bool = True  # mirror half of the images, left to right

    def steps_per_epoch(self, images: int) -> int:
        """Batches of an epoch over a training part of `images` images; at least 1."""
        return max(1, round(images * self.train_fraction) // self.batch_size)

    def learning_rate_at(self, step: int, steps: int) -> float:
        """Learning rate of step 0 <= `step` < `steps`."""
        rising = self.warmup * steps
        position = step + 0.5
        if position < rising:
            return self.learning_rate * position / rising
        return self.learning_rate * (steps - position) / (steps - rising)


def default_recipe(images: int, image_size: int, flip: bool, epochs: int, train_fraction: float = 1.0) -> Recipe:
    """The recipe for a training part of `images` images of `image_size` pixels.

    The batch shrinks with the data so that an epoch keeps at least 16 steps; the rate shrinks with the batch.
    """
    batch_size = 128
    while batch_size > 8 and images * train_fraction < 16 * batch_size:
        batch_size //= 2
    padding = min(64, max(1, image_size // 8))
    rate = 0.2 * max(batch_size, 32) / 128
    return Recipe(
        epochs=epochs,
        train_fraction=train_fraction,
        batch_size=batch_size,
        learning_rate=rate,
        crop_padding=padding,
        flip=flip,
    )
