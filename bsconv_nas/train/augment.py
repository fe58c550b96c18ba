"""Batches of images, cut and mirrored at random as a whole."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, pad

from bsconv_nas.train.placement import send
from bsconv_nas.train.recipe import Recipe

_RATIO = 4 / 3  # a random crop is up to so much wider or higher than the image is


def training_batches(images: Tensor, labels: Tensor, recipe: Recipe, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch in random order: batches of float images (N, C, H, W) in [0, 1], channels last, and labels (N,).

    `images` are uint8 (N, H, W, C); batches are on the device of `labels`. A last batch that is not full is left out,
    unless it is the only one: batch normalisation of a few images would disturb the rest.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(images), generator=generator)
    size = min(recipe.batch_size, len(images))
    for start in range(0, size * recipe.steps_per_epoch(len(images)), size):
        chosen = order[start : start + size]
        batch = send(images[chosen.to(images.device)], labels.device)
        yield augmented(batch, recipe, generator), labels[chosen.to(labels.device)]


def augmented(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Images uint8 (N, H, W, C) as input of a network, changed at random as the recipe says."""
    if recipe.crop_scale < 1:
        return resized_crops(as_input(images), recipe.crop_scale, recipe.flip, generator)
    return as_input(crop_and_flip(images, recipe.crop_padding, recipe.flip, generator))


def crop_and_flip(images: Tensor, padding: int, flip: bool, generator: torch.Generator) -> Tensor:
    """Shift each image (N, H, W, C) by up to `padding` pixels over black borders, and mirror half of them."""
    count, height, width, _ = images.shape
    if padding:
        padded = pad(images, (0, 0, padding, padding, padding, padding))
        shifts = torch.randint(0, 2 * padding + 1, (2, count), generator=generator).to(images.device)
        # All windows as a view (N, dy, dx, H, W, C); indexing copies just the chosen ones.
        windows = padded.unfold(1, height, 1).unfold(2, width, 1).permute(0, 1, 2, 4, 5, 3)
        images = windows[torch.arange(count, device=images.device), shifts[0], shifts[1]]
    if flip:
        mirrored = (torch.rand(count, generator=generator) < 0.5).to(images.device)
        images = torch.where(mirrored[:, None, None, None], images.flip(2), images)
    return images


def resized_crops(images: Tensor, least: float, flip: bool, generator: torch.Generator) -> Tensor:
    """Cut a random part out of each image (N, C, H, W), stretch it to the whole size, and mirror half of them.

    Parts have a share of the area that is even in [`least`, 1], and 3/4 to 4/3 of the image's own ratio of width to
    height, as far as they fit. Pixels are interpolated; as parts are only ever enlarged, none is left out.
    """
    grid = affine_grid(_crops(len(images), least, flip, generator).to(images.device), list(images.shape), False)
    found = grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return found.contiguous(memory_format=torch.channels_last)


def _crops(count: int, least: float, flip: bool, generator: torch.Generator) -> Tensor:
    """Random parts (N, 2, 3) as maps from places in the result to places in the image, both in [-1, 1]."""
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


def as_input(images: Tensor) -> Tensor:
    """Images uint8 (N, H, W, C) as float (N, C, H, W) in [0, 1], in channels-last memory."""
    return images.permute(0, 3, 1, 2).float().div_(255)
