"""The training loop: one network, a few epochs, a result after each."""

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from bsconv_nas.errors import TrainingError
from bsconv_nas.evaluation import EpochResult
from bsconv_nas.train.augment import as_input, training_batches
from bsconv_nas.train.average import WeightAverage
from bsconv_nas.train.checkpoint import TrainingState, load_checkpoint, restore, save_checkpoint
from bsconv_nas.train.memory import free_memory, is_out_of_memory, keep_freed_memory
from bsconv_nas.train.placement import TensorData, send
from bsconv_nas.train.precision import forward_pass
from bsconv_nas.train.recipe import Precision, Recipe
from bsconv_nas.train.step import Step, make_optimizer, set_learning_rate, training_step

# Images at a time: caches of a CPU like few, a GPU is kept busy by many.
_EVALUATION_BATCH = {"cpu": 512, "cuda": 2048}


EpochHook = Callable[[EpochResult, nn.Module], None]
StepHook = Callable[[int, int], None]  # (steps done, steps in all)


def train(
    network: nn.Module,
    data: TensorData,
    recipe: Recipe,
    seed: int,
    checkpoint: Path | None = None,
    key: str = "",
    on_epoch: EpochHook | None = None,
    on_step: StepHook | None = None,
) -> Iterator[EpochResult]:
    """Train `network` in place, yielding the validation accuracy after each epoch.

    With a `checkpoint` path the state is kept there after each epoch; if it already holds one of the training named
    `key`, the results so far are yielded again and the training goes on from there, to the same end result. `on_epoch`
    gets each new result, before its checkpoint is written, with the network that was evaluated: the averaged one
    where the recipe averages weights. `on_step` is told each step done and the number of all steps.

    Raises:
        TrainingError: the loss is not finite, or far above that of guessing.
        StorageError: the checkpoint cannot be written.
    """
    keep_freed_memory()
    network = network.to(data.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = make_optimizer(network, recipe, data.device)
    state = TrainingState(network, optimizer, WeightAverage(network, recipe.ema) if recipe.ema else None)
    step = training_step(network, optimizer, recipe, data.device)
    results: list[EpochResult] = []
    saved = load_checkpoint(checkpoint, key) if checkpoint else None
    if saved is not None:
        restore(saved, state)
        results = list(saved.results)
        yield from results
    for epoch in range(len(results), recipe.epochs):
        started = time.perf_counter()
        loss = _train_epoch(state, step, data, recipe, seed, epoch, on_step)
        top1 = evaluate_top1(state.evaluated, data.val_images, data.val_labels, recipe.precision)
        seconds = time.perf_counter() - started
        results.append(EpochResult(epoch + 1, recipe.epochs, top1, {"train_loss": loss, "seconds": seconds}))
        if on_epoch is not None:
            on_epoch(results[-1], state.evaluated)
        if checkpoint is not None:
            save_checkpoint(checkpoint, key, state, results)
        yield results[-1]


def evaluate_top1(network: nn.Module, images: Tensor, labels: Tensor, precision: Precision = "float32") -> float:
    """Share of images uint8 (N, H, W, C) whose highest logit is their label; the network is where the labels are."""
    network.eval()
    batch = min(_EVALUATION_BATCH.get(labels.device.type, 512), len(images))
    while True:
        try:
            return _correct(network, images, labels, precision, batch) / len(images)
        except RuntimeError as error:
            if batch == 1 or not is_out_of_memory(error):
                raise
        free_memory(labels.device)
        batch //= 2


def _correct(network: nn.Module, images: Tensor, labels: Tensor, precision: Precision, batch: int) -> int:
    """Number of images whose highest logit is their label, `batch` of them at a time."""
    correct = torch.zeros((), dtype=torch.int64, device=labels.device)
    with torch.inference_mode(), forward_pass(labels.device, precision):
        for batch_images, batch_labels in zip(images.split(batch), labels.split(batch), strict=True):
            correct += (network(as_input(send(batch_images, labels.device))).argmax(1) == batch_labels).sum()
    return int(correct)


def _train_epoch(
    state: TrainingState, step: Step, data: TensorData, recipe: Recipe, seed: int, epoch: int, on_step: StepHook | None
) -> float:
    """Train one epoch and return the mean loss.

    All randomness follows from (seed, epoch), so that epochs can be resumed.
    """
    state.network.train()
    step.begin_epoch()
    epoch_seed = (seed * 10_007 + epoch) % 2**63
    torch.manual_seed(epoch_seed)
    total = torch.zeros((), device=data.device)
    steps_per_epoch = recipe.steps_per_epoch(len(data.train_images))
    before, steps = epoch * steps_per_epoch, recipe.epochs * steps_per_epoch
    batches = training_batches(data.train_images, data.train_labels, recipe, epoch_seed, recipe.image_scale(epoch))
    for number, (images, labels) in enumerate(batches, before):
        set_learning_rate(state.optimizer, recipe.learning_rate_at(number, steps))
        total += step(images, labels)
        if state.average is not None:
            state.average.update(number)
        if on_step is not None:
            on_step(number + 1, steps)
    return _checked_loss(float(total) / steps_per_epoch, epoch)


def _checked_loss(loss: float, epoch: int) -> float:
    # Guessing among a million classes costs 14 nats: a mean loss of 50 has nothing to do with learning any more.
    if not math.isfinite(loss) or loss > 50:
        raise TrainingError(f"loss is {loss:.3g} after epoch {epoch + 1}; try a lower learning rate")
    return loss
