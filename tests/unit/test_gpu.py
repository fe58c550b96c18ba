"""On a real GPU: what CPUs cannot show. Skipped where there is none."""

import contextlib
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from bsconv_nas.data import ImageData, load_search_data
from bsconv_nas.evaluation import Job
from bsconv_nas.models import get_model
from bsconv_nas.networks.arch import ArchSpec, BlockSpec, HeadSpec, LayerSpec, StemSpec
from bsconv_nas.nn.build import build
from bsconv_nas.train.evaluator import TrainingEvaluator
from bsconv_nas.train.loop import evaluate_top1, train
from bsconv_nas.train.memory import free_memory
from bsconv_nas.train.placement import TensorData, place
from bsconv_nas.train.recipe import Precision, Recipe, default_recipe
from bsconv_nas.train.step import PlainStep, RecordedStep, make_optimizer

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")

GPU = torch.device("cuda")
LAYERS = (BlockSpec((LayerSpec("S", 16, stride=2, p=0.5),)), BlockSpec((LayerSpec("U", 24, stride=2),)))
ARCH = ArchSpec((8, 8), 10, StemSpec(8), LAYERS, HeadSpec(dropout=0.2))


@pytest.fixture
def digits() -> ImageData:
    return load_search_data("digits")


@pytest.fixture
def on_gpu(digits: ImageData) -> TensorData:
    data = digits
    return place((data.train_images, data.train_labels, data.val_images, data.val_labels), "cuda")


def small(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return get_model("cifar_resnet20_bsconvs_p1d4", 10)


def batches(count: int, size: int = 32) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    for _ in range(count):
        images = torch.rand(size, 3, 16, 16, generator=generator).to(memory_format=torch.channels_last)
        yield images.to(GPU), torch.randint(0, 10, (size,), generator=generator).to(GPU)


def trained(recorded: bool, precision: Precision, steps: int = 8) -> tuple[list[float], list[Tensor]]:
    network = small().to(GPU, memory_format=torch.channels_last)  # type: ignore[call-overload]
    recipe = Recipe(precision=precision, learning_rate=0.01)
    optimizer = make_optimizer(network, recipe, GPU)
    plain = PlainStep(network, optimizer, recipe)
    step = RecordedStep(plain) if recorded else plain
    losses = [step(images, labels).item() for images, labels in batches(steps)]
    if isinstance(step, RecordedStep):
        assert step._graph is not None  # pyright: ignore[reportPrivateUsage]
    return losses, [parameter.detach().clone() for parameter in network.parameters()]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_replayed_step_does_what_a_plain_one_does(precision: Precision) -> None:
    losses, weights = trained(True, precision)
    expected_losses, expected_weights = trained(False, precision)
    # Sums in another order each time, which training makes more of: weights are compared on the whole.
    torch.testing.assert_close(losses, expected_losses, rtol=5e-2, atol=5e-2)
    apart = sum(float((one - other).square().sum()) for one, other in zip(weights, expected_weights, strict=True))
    size = sum(float(one.square().sum()) for one in weights)
    assert apart < 1e-3 * size
    assert len(set(losses)) == len(losses)


@pytest.mark.parametrize("small_first", [0.0, 0.5])
def test_a_network_learns_on_a_gpu_with_an_average(on_gpu: TensorData, small_first: float) -> None:
    changes = {"ema": 0.9, "small_first": small_first}
    recipe = default_recipe(len(on_gpu.train_labels), 8, False, 8, precision="bfloat16").model_copy(update=changes)
    network = build(ARCH)
    results = list(train(network, on_gpu, recipe, 0))
    assert results[-1].top1 > 0.7
    assert evaluate_top1(network, on_gpu.val_images, on_gpu.val_labels) > 0.7


class Looking(nn.Module):
    """A network whose layer looks at its values: that cannot be recorded."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 10, 3)

    def forward(self, x: Tensor) -> Tensor:
        values = self.layer(x).mean((2, 3))
        return values * 2 if values.sum().item() > 0 else values


@pytest.mark.parametrize("noticed", [True, False])
def test_a_step_that_cannot_be_recorded_goes_on_as_it_began(noticed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not noticed:  # the recording is tried, and fails
        monkeypatch.setattr("bsconv_nas.train.step._watched_waits", lambda: contextlib.nullcontext([]))
    network = Looking().to(GPU)
    recipe = Recipe()
    optimizer = make_optimizer(network, recipe, GPU)
    step = RecordedStep(PlainStep(network, optimizer, recipe))
    losses = [step(images, labels).item() for images, labels in batches(8)]
    assert step._graph is None  # pyright: ignore[reportPrivateUsage]
    assert all(0 < loss < 50 for loss in losses)
    assert len(set(losses)) == len(losses)
    torch.nn.functional.dropout(torch.rand(8, device=GPU))  # random numbers still come
    assert trained(True, "bfloat16", 6)[0][0] > 0


def test_a_batch_that_does_not_fit_is_taken_in_parts_and_memory_comes_back() -> None:
    # Nothing of an earlier test may be in the way of so little memory.
    free_memory(GPU)
    total = torch.cuda.get_device_properties(GPU).total_memory
    held = torch.cuda.memory_reserved()
    torch.cuda.set_per_process_memory_fraction((held + 2**30) / total)
    try:
        network = small().to(GPU, memory_format=torch.channels_last)  # type: ignore[call-overload]
        recipe = Recipe()
        plain = PlainStep(network, make_optimizer(network, recipe, GPU), recipe)
        step = RecordedStep(plain)
        images = torch.rand(4096, 3, 32, 32, device=GPU).contiguous(memory_format=torch.channels_last)
        loss = step(images, torch.zeros(4096, dtype=torch.int64, device=GPU))
        assert plain.parts > 1
        assert loss.item() > 0
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_memory_is_free_after_each_trial_also_a_stopped_one(digits: ImageData) -> None:
    evaluator = TrainingEvaluator(digits, Recipe(epochs=3, batch_size=32), device="cuda")
    held: list[int] = []
    for number in range(5):
        running = evaluator.run(Job(number, (), number, ARCH))
        next(iter(running))
        if number % 2:
            list(running)
        running.close()  # type: ignore[attr-defined]
        held.append(torch.cuda.memory_allocated())
    # The images stay on the GPU from the first trial on.
    assert max(held[2:]) <= held[1] + 2**20
