"""When a step is recorded and what is replayed, with a GPU in name only; tests/unit/test_gpu.py has a real one."""

import contextlib
import warnings
from collections.abc import Generator

import pytest
import torch
from torch import Tensor, nn

from bsconv_nas.train.recipe import Recipe
from bsconv_nas.train.step import PlainStep, RecordedStep, make_optimizer, set_learning_rate, training_step

CPU = torch.device("cpu")


class Kernels:
    """A step that notes how often it was started, and whose loss is the sum of its images."""

    def __init__(self, parts: int = 1, waits: bool = False, unrecordable: bool = False) -> None:
        self.parts, self.waits, self.unrecordable = parts, waits, unrecordable
        self.started = 0
        self.recording = False
        self.forgotten = False
        self.recorded: tuple[Tensor, Tensor, Tensor] | None = None

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        if self.recording:
            if self.unrecordable:
                raise RuntimeError("operation not permitted when stream is capturing\nmore")
            self.recorded = images, labels, torch.zeros(())
            return self.recorded[2]
        self.started += 1
        if self.waits:
            warnings.warn("called a synchronizing CUDA operation (Triggered internally)", UserWarning, stacklevel=1)
        return images.sum() + labels.sum()

    def replay(self) -> None:
        assert self.recorded is not None
        images, labels, loss = self.recorded
        loss.copy_(images.sum() + labels.sum())

    def begin_epoch(self) -> None:
        self.parts = 1

    def forget_gradients(self) -> None:
        self.forgotten = True


class Stream:
    def wait_stream(self, other: "Stream") -> None:
        pass


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> dict[str, Kernels]:
    """The part of `torch.cuda` that recording uses; `kernels` is what a recording takes in."""
    known: dict[str, Kernels] = {}

    class Graph:
        def replay(self) -> None:
            known["kernels"].replay()

    @contextlib.contextmanager
    def record(graph: Graph) -> Generator[None]:
        known["kernels"].recording = True
        try:
            yield
        finally:
            known["kernels"].recording = False

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", record)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", lambda _: None)
    monkeypatch.setattr("bsconv_nas.train.step._leave_recording", lambda: None)
    return known


def steps(kernels: Kernels, known: dict[str, Kernels], count: int = 6) -> list[float]:
    known["kernels"] = kernels
    step = RecordedStep(kernels)  # type: ignore[arg-type]
    return [step(torch.full((2, 3), n), torch.tensor([n, 0])).item() for n in range(count)]


def test_after_three_steps_the_recording_is_replayed_with_each_batch(gpu: dict[str, Kernels]) -> None:
    kernels = Kernels()
    assert steps(kernels, gpu) == [7 * n for n in range(6)]
    assert kernels.started == 3


def test_another_size_of_images_has_a_recording_of_its_own(gpu: dict[str, Kernels]) -> None:
    kernels = gpu["kernels"] = Kernels()
    step = RecordedStep(kernels)  # type: ignore[arg-type]
    sizes = [3] * 5 + [4] * 5
    losses = [step(torch.ones(2, size), torch.tensor([0, 0])).item() for size in sizes]
    assert losses == [2 * size for size in sizes]
    assert kernels.started == 2 * 3


@pytest.mark.parametrize("kernels", [Kernels(parts=2), Kernels(waits=True), Kernels(unrecordable=True)])
def test_what_cannot_be_recorded_goes_on_as_it_began(gpu: dict[str, Kernels], kernels: Kernels) -> None:
    assert steps(kernels, gpu) == [7 * n for n in range(6)]
    assert kernels.started == 6
    assert kernels.recorded is None
    assert kernels.forgotten == kernels.unrecordable


def test_other_warnings_are_no_waits(gpu: dict[str, Kernels]) -> None:
    class Talking(Kernels):
        def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
            if not self.recording:
                warnings.warn("something else", UserWarning, stacklevel=1)
            return super().__call__(images, labels)

    kernels = Talking()
    steps(kernels, gpu)
    assert kernels.started == 3


def test_cpus_start_their_steps_one_by_one() -> None:
    network = nn.Linear(2, 2)
    recipe = Recipe()
    optimizer = make_optimizer(network, recipe, CPU)
    assert isinstance(training_step(network, optimizer, recipe, CPU), PlainStep)
    set_learning_rate(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]


def test_a_rate_on_the_device_is_changed_in_place() -> None:
    rate = torch.tensor(0.5)
    optimizer = torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=rate)
    set_learning_rate(optimizer, 0.125)
    assert rate.item() == 0.125
