"""Batches of images, cut and mirrored at random as a whole."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import pad

from bsconv_nas.train.recipe import Recipe


def training_batches(images: Tensor, labels: Tensor, recipe: Recipe, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch in random order: batches of float images (N, C, H, W) in [0, 1], channels last, and labels (N,).

    `images` are uint8 (N, H, W, C). A last batch that is not full is left out, unless it is the only one: batch
    normalisation of a few images would disturb the rest.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(images), generator=generator)
    size = min(recipe.batch_size, len(images))
    for start in range(0, size * recipe.steps_per_epoch(len(images)), size):
        chosen = order[start : start + size].to(images.device)
        batch = crop_and_flip(images[chosen], recipe.crop_padding, recipe.flip, generator)
        yield as_input(batch), labels[chosen]


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


def as_input(images: Tensor) -> Tensor:
    """Images uint8 (N, H, W, C) as float (N, C, H, W) in [0, 1], in channels-last memory."""
    return images.permute(0, 3, 1, 2).float().div_(255)
