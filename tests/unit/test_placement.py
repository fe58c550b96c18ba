"""Where images are while networks train on them; the device "meta" stands for a GPU, as far as shapes go."""

import numpy as np
import pytest
import torch

from bsconv_nas.train.augment import training_batches
from bsconv_nas.train.placement import TensorData, fits, place, send, shared_tensor
from bsconv_nas.train.recipe import Recipe

GB = 2**30
CPU, ELSEWHERE = torch.device("cpu"), torch.device("meta")


@pytest.mark.parametrize(
    ("size", "free", "share", "expected"),
    [
        (1 * GB, 20 * GB, 1.0, True),
        (10 * GB, 20 * GB, 1.0, True),
        (10 * GB + 1, 20 * GB, 1.0, False),  # training needs memory too
        (6 * GB, 20 * GB, 0.5, True),
        (6 * GB, 20 * GB, 0.25, False),  # four trainings that start together each see all of it free
        (1 * GB, 1 * GB, 1.0, False),  # others hold the rest
    ],
)
def test_data_stay_where_they_leave_half_of_the_memory(size: int, free: int, share: float, expected: bool) -> None:
    assert fits(size, free, 24 * GB, share) is expected


def test_on_a_cpu_nothing_is_copied() -> None:
    images, labels = np.zeros((4, 8, 8, 3), dtype=np.uint8), np.arange(4)
    images.flags.writeable = False
    data = place((images, labels, images[:2], labels[:2]), "cpu")
    assert data.device == CPU
    assert data.train_images.data_ptr() == images.ctypes.data == data.val_images.data_ptr()
    assert send(data.train_images, CPU) is data.train_images


def test_the_device_that_trains_is_that_of_the_labels() -> None:
    images, labels = torch.zeros(4, 8, 8, 3, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64)
    assert TensorData(images, labels.to(ELSEWHERE), images, labels.to(ELSEWHERE)).device == ELSEWHERE


@pytest.mark.parametrize("crop_scale", [0.35, 1.0])
def test_batches_of_images_in_host_memory_arrive_where_the_labels_are(crop_scale: float) -> None:
    images = shared_tensor(np.zeros((20, 16, 16, 3), dtype=np.uint8))
    labels = torch.zeros(20, dtype=torch.int64, device=ELSEWHERE)
    batches = list(training_batches(images, labels, Recipe(batch_size=8, crop_scale=crop_scale), seed=0))
    assert [tuple(batch.shape) for batch, _ in batches] == [(8, 3, 16, 16)] * 2
    assert {part.device for batch in batches for part in batch} == {ELSEWHERE}
