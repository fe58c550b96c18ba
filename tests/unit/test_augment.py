"""Whole-batch crops and flips against doing it image by image."""

import pytest
import torch
from torch import Tensor

from bsconv_nas.train.augment import (
    as_input,
    crop_and_flip,
    draw_crops,
    draw_shifts,
    resized_crops,
    scaled,
    training_batches,
)
from bsconv_nas.train.recipe import Recipe


def images(count: int = 7, height: int = 5, width: int = 6) -> Tensor:
    return torch.randint(1, 256, (count, height, width, 3), dtype=torch.uint8)


def one_by_one(batch: Tensor, padding: int, flip: bool, generator: torch.Generator) -> Tensor:
    """The obvious way, drawing the same numbers."""
    count, height, width, _ = batch.shape
    shifts = torch.randint(0, 2 * padding + 1, (2, count), generator=generator).tolist() if padding else None
    mirrored = (torch.rand(count, generator=generator) < 0.5).tolist() if flip else [False] * count
    result = torch.zeros_like(batch)
    for n in range(count):
        dy, dx = (shifts[0][n] - padding, shifts[1][n] - padding) if shifts else (0, 0)
        for y in range(height):
            for x in range(width):
                column = width - 1 - x if mirrored[n] else x
                if 0 <= y + dy < height and 0 <= column + dx < width:
                    result[n, y, x] = batch[n, y + dy, column + dx]
    return result


@pytest.mark.parametrize("padding", [0, 1, 2, 7])
@pytest.mark.parametrize("flip", [False, True])
def test_crop_and_flip_as_one_by_one(padding: int, flip: bool) -> None:
    for seed in range(5):
        batch = images()
        shifts = draw_shifts(len(batch), padding, flip, torch.Generator().manual_seed(seed))
        found = crop_and_flip(batch, shifts, padding, flip)
        assert torch.equal(found, one_by_one(batch, padding, flip, torch.Generator().manual_seed(seed)))


def test_every_shift_and_both_sides_occur() -> None:
    batch = torch.zeros(2000, 5, 5, 1, dtype=torch.uint8)
    batch[:, 2, 1] = 1
    found = crop_and_flip(batch, draw_shifts(2000, 1, True, torch.Generator().manual_seed(0)), 1, True)
    places = found.nonzero()[:, 1:3].unique(dim=0).tolist()
    assert sorted(places) == [[y, x] for y in (1, 2, 3) for x in range(5)]


def test_images_are_not_written_to() -> None:
    batch = images()
    before = batch.clone()
    crop_and_flip(batch, draw_shifts(len(batch), 2, True, torch.Generator().manual_seed(0)), 2, True)
    assert torch.equal(batch, before)


def test_input_is_scaled_and_channels_last() -> None:
    batch = images()
    found = as_input(batch)
    assert found.shape == (7, 3, 5, 6)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(found[3, 2], batch[3, :, :, 2].float() / 255)
    assert as_input(torch.full((1, 1, 1, 1), 255, dtype=torch.uint8)).item() == 1


def epoch(seed: int, batch_size: int = 4, count: int = 11, **more: object) -> list[tuple[Tensor, Tensor]]:
    data = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(count, 4, 4, 3).contiguous()
    recipe = Recipe(batch_size=batch_size, crop_padding=0, flip=False, **more)  # type: ignore[arg-type]
    return list(training_batches(data, torch.arange(count), recipe, seed))


def test_an_epoch_is_full_batches_of_different_images_with_their_labels() -> None:
    batches = epoch(0)
    assert [len(labels) for _, labels in batches] == [4, 4]
    labels = torch.cat([labels for _, labels in batches])
    assert len(labels.unique()) == 8
    pixels = torch.cat([found[:, 0, 0, 0] for found, _ in batches])
    assert torch.equal((pixels * 255).round().long(), labels)


@pytest.mark.parametrize(("padding", "flip"), [(2, True), (2, False), (0, True)])
def test_images_of_an_epoch_are_shifted_and_mirrored_as_drawn(padding: int, flip: bool) -> None:
    data = images(12)
    recipe = Recipe(batch_size=4, crop_padding=padding, flip=flip)
    batches = list(training_batches(data, torch.arange(12), recipe, seed=3))
    order = torch.cat([labels for _, labels in batches])
    drawn = torch.Generator().manual_seed(3)
    assert torch.equal(order, torch.randperm(12, generator=drawn))
    expected = as_input(one_by_one(data[order], padding, flip, drawn))
    assert torch.equal(torch.cat([batch for batch, _ in batches]), expected)
    assert not torch.equal(expected, as_input(data[order]))


def test_a_single_small_batch_is_used() -> None:
    ((_, labels),) = epoch(0, batch_size=64, count=5)
    assert sorted(labels.tolist()) == [0, 1, 2, 3, 4]


def test_order_is_a_function_of_the_seed() -> None:
    def labels(seed: int) -> list[int]:
        return torch.cat([found for _, found in epoch(seed)]).tolist()

    assert labels(1) == labels(1)
    assert labels(1) != labels(2)


def test_a_share_of_the_images_is_drawn_anew() -> None:
    first, second = (torch.cat([labels for _, labels in epoch(s, 4, 40, train_fraction=0.5)]) for s in (0, 1))
    assert len(first) == len(second) == 20
    assert set(first.tolist()) != set(second.tolist())


def ramp(count: int, size: int) -> Tensor:
    """Images (N, 2, H, W) that hold the place of each pixel in [0, 1]: x in the first channel, y in the second."""
    places = (torch.arange(size) + 0.5) / size
    y, x = torch.meshgrid(places, places, indexing="ij")
    return torch.stack((x, y)).expand(count, 2, size, size)


def test_resized_crops_show_parts_of_the_promised_size_and_shape() -> None:
    size = 32
    found = resized_crops(ramp(2000, size), draw_crops(2000, 0.35, True, torch.Generator().manual_seed(0)))
    assert found.is_contiguous(memory_format=torch.channels_last)
    inner = found[:, :, 1:-1, 1:-1]  # at the border of the image, half a pixel is repeated
    step = (size - 1) / (size - 3)
    width = (inner[:, 0, 5, -1] - inner[:, 0, 5, 0]) * step * size / (size - 1)
    height = (inner[:, 1, -1, 5] - inner[:, 1, 0, 5]) * step * size / (size - 1)
    area = width.abs() * height
    assert (height > 0).all()
    assert 0.34 < area.min() < 0.37
    assert 0.98 < area.max() < 1.01
    assert area.mean().item() == pytest.approx((0.35 + 1) / 2, abs=0.02)
    ratio = width.abs() / height
    assert 0.74 < ratio.min() < 0.80
    assert 1.25 < ratio.max() < 1.35
    assert (width < 0).float().mean().item() == pytest.approx(0.5, abs=0.05)  # mirrored
    assert inner.min() > 0
    assert inner.max() < 1
    corner = found[:, 0, 0, :].amin(1)
    assert corner.std() > 0.05  # not always the middle


@pytest.mark.parametrize("axis", [0, 1])
def test_parts_of_images_lie_anywhere_within_them(axis: int) -> None:
    crops = draw_crops(4000, 0.35, True, torch.Generator().manual_seed(0))
    half, centre = crops[:, axis, axis].abs(), crops[:, axis, 2]
    assert (centre.abs() <= 1 - half + 1e-6).all()
    place = centre / (1 - half).clamp(min=1e-6)  # from -1, at one border of the image, to 1, at the other
    place = place[half < 0.99]
    assert place.mean().item() == pytest.approx(0.0, abs=0.05)
    assert place.std().item() == pytest.approx(3**-0.5, abs=0.02)  # of an even distribution
    assert (crops[:, axis, 1 - axis] == 0).all()  # nothing is turned


def test_the_whole_image_comes_back_as_it_was() -> None:
    batch = torch.rand(3, 3, 9, 12)
    torch.testing.assert_close(resized_crops(batch, draw_crops(3, 1.0, False, torch.Generator().manual_seed(0))), batch)


def test_large_images_are_cut_and_stretched_alike_in_each_run() -> None:
    recipe = Recipe(batch_size=4).for_data(64, 96)
    assert recipe.crop_scale == 0.35
    data, labels = torch.randint(0, 256, (8, 96, 96, 3), dtype=torch.uint8), torch.arange(8)
    recipe = recipe.model_copy(update={"batch_size": 4})
    one, same, other = (
        torch.cat([images for images, _ in training_batches(data, labels, recipe, seed)]) for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert one.shape == (8, 3, 96, 96)
    assert 0 <= one.min() <= one.max() <= 1


@pytest.mark.parametrize(("size", "scale", "smaller"), [(32, 0.75, 24), (32, 0.5, 16), (8, 0.75, 6), (1, 0.1, 1)])
def test_smaller_images_show_the_same_at_fewer_pixels(size: int, scale: float, smaller: int) -> None:
    found = scaled(ramp(2, size), scale)
    assert found.shape == (2, 2, smaller, smaller)
    assert found.is_contiguous(memory_format=torch.channels_last)
    inner = slice(1, -1) if smaller > 2 else slice(None)  # at the border a pixel's neighbours are missing
    assert torch.allclose(found[..., inner, inner], ramp(2, smaller)[..., inner, inner], atol=0.02)


def test_smaller_pixels_are_means() -> None:
    checks = (torch.arange(8)[:, None] + torch.arange(8)).remainder(2).float().expand(1, 3, 8, 8)
    assert torch.allclose(scaled(checks, 0.5), torch.tensor(0.5), atol=0.1)
    assert scaled(checks, 1.0) is checks
