"""Batches that do not fit into memory: taken in parts, and the training goes on."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bsconv_nas.data import ImageData, load_search_data
from bsconv_nas.errors import TrainingError
from bsconv_nas.train.loop import evaluate_top1, train
from bsconv_nas.train.memory import backward_in_parts
from bsconv_nas.train.placement import TensorData, shared_tensor
from bsconv_nas.train.recipe import default_recipe

CPU_MESSAGE = "[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried to allocate"


class Refusing(nn.Module):
    """A classifier of 8x8 images that runs out of memory with more than `most` images at a time."""

    def __init__(self, most: int, error: RuntimeError, norm: bool = False) -> None:
        super().__init__()
        self.most, self.error, self.batches = most, error, list[int]()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8) if norm else nn.ReLU(), nn.Flatten())
        self.classifier = nn.Linear(72, 10)

    def forward(self, x: Tensor) -> Tensor:
        self.batches.append(len(x))
        if len(x) > self.most:
            raise self.error
        return self.classifier(self.layers(x))


ERRORS = [torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), RuntimeError(CPU_MESSAGE)]


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load_search_data("digits")


@pytest.mark.parametrize("error", ERRORS)
def test_parts_have_the_gradients_of_the_batch(error: RuntimeError) -> None:
    torch.manual_seed(0)
    images, labels = torch.rand(24, 3, 8, 8), torch.arange(24) % 10
    network = Refusing(7, error)

    def loss_of(some: Tensor, theirs: Tensor) -> Tensor:
        return cross_entropy(network(some), theirs)

    loss, parts = backward_in_parts(network, images, labels, loss_of, 1)
    assert parts == 4
    assert network.batches == [24, 12, 6, 6, 6, 6]
    found = [parameter.grad for parameter in network.parameters()]
    network.most = 24
    expected_loss = loss_of(images, labels)
    expected = torch.autograd.grad(expected_loss, list(network.parameters()))
    torch.testing.assert_close(loss, expected_loss.detach())
    torch.testing.assert_close(found, list(expected))


@pytest.mark.parametrize("error", ERRORS)
def test_a_training_goes_on_in_parts(digits: ImageData, error: RuntimeError) -> None:
    arrays = (digits.train_images, digits.train_labels, digits.val_images, digits.val_labels)
    data = TensorData(*map(shared_tensor, arrays))
    recipe = default_recipe(len(digits.train_images), 8, False, 3)
    torch.manual_seed(0)
    network = Refusing(8, error, norm=True)
    results = list(train(network, data, recipe, 0))
    assert results[-1].top1 > 0.8
    assert max(network.batches) == len(digits.val_images)  # validation was tried in larger batches
    assert recipe.batch_size > 8


def test_what_never_fits_fails_with_a_reason(digits: ImageData) -> None:
    network = Refusing(0, ERRORS[0])
    images, labels = torch.rand(16, 3, 8, 8), torch.zeros(16, dtype=torch.int64)
    with pytest.raises(TrainingError, match="out of memory even with 2 images at a time"):
        backward_in_parts(network, images, labels, lambda some, _: network(some).sum(), 1)
    with pytest.raises(torch.OutOfMemoryError):
        evaluate_top1(network, torch.zeros(4, 8, 8, 3, dtype=torch.uint8), labels[:4])


def test_other_errors_are_not_taken_for_it() -> None:
    network = Refusing(0, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        backward_in_parts(network, torch.rand(8, 3, 8, 8), torch.zeros(8), lambda some, _: network(some).sum(), 1)
    assert network.batches == [8]
