"""One step of a training: gradients of a batch and the optimizer's update; on a GPU recorded once and then replayed."""

import logging
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_

from bsconv_nas.nn.bsconv import orthonormal_loss
from bsconv_nas.train.memory import backward_in_parts, free_memory
from bsconv_nas.train.precision import forward_pass
from bsconv_nas.train.recipe import Recipe

_log = logging.getLogger(__name__)

_BEFORE_RECORDING = 3  # steps in which libraries choose their kernels and the optimizer makes its momenta


class Step(Protocol):
    """Changes the network by one batch."""

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        """Train on images float (N, C, H, W) and labels (N,) and return their mean loss, valid until the next call."""
        ...

    def begin_epoch(self) -> None:
        """Begin with whole batches again, whatever ran out of memory before: epochs do not depend on each other."""
        ...


def training_step(network: nn.Module, optimizer: torch.optim.SGD, recipe: Recipe, device: torch.device) -> Step:
    """The fastest way to do a step on `device`."""
    step = PlainStep(network, optimizer, recipe)
    return RecordedStep(step) if device.type == "cuda" else step


class PlainStep:
    """A step whose operations are started one after another."""

    def __init__(self, network: nn.Module, optimizer: torch.optim.SGD, recipe: Recipe) -> None:
        self.parts = 1  # a batch is split into so many, until it fits into memory
        self._network = network
        self._optimizer = optimizer
        self._recipe = recipe
        self._loss_of = partial(_loss, network, recipe)

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        loss, self.parts = backward_in_parts(self._network, images, labels, self._loss_of, self.parts)
        regulariser = orthonormal_loss(self._network, self._recipe.orthonormal_alpha)
        if regulariser.requires_grad:  # only where a layer has such a loss
            regulariser.backward()
        if self._recipe.clip_norm:
            # Networks of one or two channels are thrown far away by single batches, in bfloat16 never to come back.
            clip_grad_norm_(self._network.parameters(), self._recipe.clip_norm)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return loss

    def begin_epoch(self) -> None:
        self.parts = 1

    def forget_gradients(self) -> None:
        """Drop what an attempt that failed left behind."""
        self._optimizer.zero_grad()


class RecordedStep:
    """A step that a GPU replays from a recording (a CUDA graph).

    The kernels of a small network run for microseconds, less than Python needs to start each: the GPU would wait most
    of the time. A step that cannot be recorded, because it did not fit into memory whole or a layer of the user's own
    looks at its values, goes on as it began.
    """

    def __init__(self, step: PlainStep) -> None:
        self._step = step
        self._shape = torch.Size()
        self._before = _BEFORE_RECORDING
        self._waits = False
        self._graph: torch.cuda.CUDAGraph | None = None
        # A recorded step reads and writes the same memory each time.
        self._images = self._labels = self._loss = torch.empty(0)

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        if images.shape != self._shape:
            self._begin(images.shape)
        if self._graph is None:
            return self._first(images, labels)
        self._images.copy_(images)
        self._labels.copy_(labels)
        self._graph.replay()
        return self._loss

    def begin_epoch(self) -> None:
        self._step.begin_epoch()

    def _begin(self, shape: torch.Size) -> None:
        """A recording is of one size of images: another size needs one of its own."""
        self._shape = shape
        self._graph = None
        self._before = _BEFORE_RECORDING

    def _first(self, images: Tensor, labels: Tensor) -> Tensor:
        """A step before there is a recording; after some of them it is made."""
        loss = self._beside(images, labels)
        self._before -= 1
        if self._before == 0 and self._step.parts == 1 and not self._waits:
            self._record(images, labels)
        return loss

    def _beside(self, images: Tensor, labels: Tensor) -> Tensor:
        """The step in a stream of its own, as recording asks of what comes before it."""
        main, side = torch.cuda.current_stream(), torch.cuda.Stream()
        side.wait_stream(main)
        with torch.cuda.stream(side), _watched_waits() as waits:
            loss = self._step(images, labels)
        main.wait_stream(side)
        # The first step may wait for set-up that happens once.
        self._waits = bool(waits)
        return loss

    def _record(self, images: Tensor, labels: Tensor) -> None:
        """Record a step without doing it."""
        self._images, self._labels = images.clone(), labels.clone()
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self._loss = self._step(self._images, self._labels)
        except RuntimeError as error:
            _log.info("training goes on without a recording: %s", str(error).splitlines()[0])
            self._step.forget_gradients()
            _leave_recording()
            free_memory(labels.device)
        else:
            self._graph = graph


@contextmanager
def _watched_waits() -> Generator[list[warnings.WarningMessage]]:
    """Notes where Python waits for values of the GPU, which a recording cannot do: see the list once it is over."""
    mode = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as waits:
        warnings.simplefilter("ignore")
        warnings.filterwarnings("always", message=".*synchronizing CUDA operation")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield waits
        finally:
            torch.cuda.set_sync_debug_mode(mode)


def _leave_recording() -> None:
    """Record nothing, successfully: one that failed leaves the random generator waiting for its end."""
    nothing = torch.zeros(1, device="cuda")
    with torch.cuda.graph(torch.cuda.CUDAGraph()):
        nothing.add_(1)


def set_learning_rate(optimizer: torch.optim.SGD, rate: float) -> None:
    """Set the rate of all parameters; where it lies on a GPU, recordings read it from there."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def make_optimizer(network: nn.Module, recipe: Recipe, device: torch.device) -> torch.optim.SGD:
    """SGD as `recipe` says; on a GPU with the learning rate there."""
    decayed = [p for p in network.parameters() if p.ndim > 1 or recipe.decay_all]
    plain = [p for p in network.parameters() if p.ndim <= 1 and not recipe.decay_all]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    rate = torch.tensor(recipe.learning_rate, device=device) if device.type == "cuda" else recipe.learning_rate
    return torch.optim.SGD(groups, lr=rate, momentum=recipe.momentum, nesterov=recipe.nesterov, fused=True)


def _loss(network: nn.Module, recipe: Recipe, images: Tensor, labels: Tensor) -> Tensor:
    """Mean cross entropy of images float (N, C, H, W)."""
    with forward_pass(images.device, recipe.precision):
        return cross_entropy(network(images).float(), labels, label_smoothing=recipe.label_smoothing)
