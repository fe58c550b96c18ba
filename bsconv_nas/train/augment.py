"""Batches of images, cut and mirrored at random as a whole."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate, pad

from bsconv_nas.train.placement import send
from bsconv_nas.train.recipe import Recipe

_RATIO = 4 / 3  # a random crop is up to so much wider or higher than the image is


def training_batches(
    images: Tensor, labels: Tensor, recipe: Recipe, seed: int, scale: float = 1.0
) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch in random order: batches of float images (N, C, H, W) in [0, 1], channels last, and labels (N,).

    `images` are uint8 (N, H, W, C), batches have sides of `scale` times theirs and are on the device of `labels`. A
    last batch that is not full is left out, unless it is the only one: batch normalisation of a few images would
    disturb the rest.
    """
    generator = torch.Generator().manual_seed(seed)
    size = min(recipe.batch_size, len(images))
    count = size * recipe.steps_per_epoch(len(images))
    order = torch.randperm(len(images), generator=generator)[:count]
    # The random numbers of an epoch travel to the device together: a step that sent its own would wait for the GPU.
    changes = draw_changes(count, recipe, generator).to(labels.device)
    labels = labels[order.to(labels.device)]
    parts = (order.to(images.device).split(size), labels.split(size), changes.split(size))
    for chosen, batch_labels, how in zip(*parts, strict=True):
        yield scaled(changed(send(images[chosen], labels.device), how, recipe), scale), batch_labels


def draw_changes(count: int, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Random changes of `count` images, as `changed` takes them."""
    if recipe.crop_scale < 1:
        return draw_crops(count, recipe.crop_scale, recipe.flip, generator)
    return draw_shifts(count, recipe.crop_padding, recipe.flip, generator)


def changed(images: Tensor, changes: Tensor, recipe: Recipe) -> Tensor:
    """Images uint8 (N, H, W, C) as input of a network, each changed as `draw_changes` drew it."""
    if recipe.crop_scale < 1:
        return resized_crops(as_input(images), changes)
    return as_input(crop_and_flip(images, changes, recipe.crop_padding, recipe.flip))


def draw_shifts(count: int, padding: int, flip: bool, generator: torch.Generator) -> Tensor:
    """Random shifts int64 (N, 3): rows and columns in 0 to 2 `padding`, and 1 for the half that is mirrored."""
    shifts = torch.zeros(count, 3, dtype=torch.int64)
    if padding:
        shifts[:, :2] = torch.randint(0, 2 * padding + 1, (2, count), generator=generator).T
    if flip:
        shifts[:, 2] = torch.rand(count, generator=generator) < 0.5
    return shifts


def crop_and_flip(images: Tensor, shifts: Tensor, padding: int, flip: bool) -> Tensor:
    """Shift each image (N, H, W, C) by up to `padding` pixels over black borders, and mirror some: `draw_shifts`."""
    count, height, width, _ = images.shape
    if padding:
        padded = pad(images, (0, 0, padding, padding, padding, padding))
        # All windows as a view (N, dy, dx, H, W, C); indexing copies just the chosen ones.
        windows = padded.unfold(1, height, 1).unfold(2, width, 1).permute(0, 1, 2, 4, 5, 3)
        images = windows[torch.arange(count, device=images.device), shifts[:, 0], shifts[:, 1]]
    return torch.where(shifts[:, 2, None, None, None] == 1, images.flip(2), images) if flip else images


def resized_crops(images: Tensor, crops: Tensor) -> Tensor:
    """Cut a part out of each image (N, C, H, W) and stretch it to the whole size: see `draw_crops`.

    Pixels are interpolated; as parts are only ever enlarged, none is left out.
    """
    grid = affine_grid(crops, list(images.shape), False)
    resized = grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return resized.contiguous(memory_format=torch.channels_last)


def draw_crops(count: int, least: float, flip: bool, generator: torch.Generator) -> Tensor:
    """Random parts of images (N, 2, 3) as maps from places in the result to places in the image, both in [-1, 1].

    Parts have a share of the area that is even in [`least`, 1], and 3/4 to 4/3 of the image's own ratio of width to
    height, as far as they fit; half of them are mirrored.
    """
    draws = torch.rand(5, count, generator=generator)
    area = least + (1 - least) * draws[0]
    ratio = torch.exp(math.log(_RATIO) * (2 * draws[1] - 1))
    # Where a side would be longer than the image, the other one is lengthened instead.
    width = (area * ratio).sqrt().clamp(max=1).maximum(area)
    height = area / width
    crops = torch.zeros(count, 2, 3)
    crops[:, 0, 0] = torch.where(draws[4] < 0.5, -width, width) if flip else width
    crops[:, 1, 1] = height
    crops[:, 0, 2] = (1 - width) * (2 * draws[2] - 1)
    crops[:, 1, 2] = (1 - height) * (2 * draws[3] - 1)
    return crops


def scaled(images: Tensor, scale: float) -> Tensor:
    """Images float (N, C, H, W) with sides of `scale` in (0, 1] times the length, in channels-last memory."""
    if scale == 1:
        return images
    size = [max(1, round(scale * side)) for side in images.shape[2:]]
    return interpolate(images, size, mode="bilinear", antialias=True).contiguous(memory_format=torch.channels_last)


def as_input(images: Tensor) -> Tensor:
    """Images uint8 (N, H, W, C) as float (N, C, H, W) in [0, 1], in channels-last memory."""
    return images.permute(0, 3, 1, 2).float().div_(255)
