"""The training loop: one network, a few epochs, a result after each."""

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel

from bsconv_nas.errors import TrainingError
from bsconv_nas.evaluation import EpochResult
from bsconv_nas.nn.bsconv import orthonormal_loss
from bsconv_nas.train.allocator import keep_freed_memory
from bsconv_nas.train.augment import as_input, training_batches
from bsconv_nas.train.checkpoint import TrainingState, load_checkpoint, restore, save_checkpoint
from bsconv_nas.train.memory import backward_in_parts, free_memory, is_out_of_memory
from bsconv_nas.train.placement import TensorData, send
from bsconv_nas.train.precision import forward_pass
from bsconv_nas.train.recipe import Precision, Recipe

_EVALUATION_BATCH = 512


Tensors = tuple[Tensor, ...] | list[Tensor]
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
    optimizer = _optimizer(network, recipe)
    state = TrainingState(network, optimizer, _average(network, recipe))
    results: list[EpochResult] = []
    saved = load_checkpoint(checkpoint, key) if checkpoint else None
    if saved is not None:
        restore(saved, state)
        results = list(saved.results)
        yield from results
    for epoch in range(len(results), recipe.epochs):
        started = time.perf_counter()
        loss = _train_epoch(state, data, recipe, seed, epoch, on_step)
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
    batch = min(_EVALUATION_BATCH, len(images))
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
        for some, theirs in zip(images.split(batch), labels.split(batch), strict=True):
            correct += (network(as_input(send(some, labels.device))).argmax(1) == theirs).sum()
    return int(correct)


def _loss(network: nn.Module, recipe: Recipe, images: Tensor, labels: Tensor) -> Tensor:
    """Mean cross entropy of images float (N, C, H, W)."""
    with forward_pass(images.device, recipe.precision):
        return cross_entropy(network(images).float(), labels, label_smoothing=recipe.label_smoothing)


def _train_epoch(
    state: TrainingState, data: TensorData, recipe: Recipe, seed: int, epoch: int, on_step: StepHook | None
) -> float:
    """Train one epoch and return the mean loss.

    All randomness follows from (seed, epoch), so epochs can be resumed; for the same reason each epoch begins with
    whole batches, also after one that did not fit into memory.
    """
    network, optimizer = state.network, state.optimizer
    network.train()
    epoch_seed = (seed * 10_007 + epoch) % 2**63
    torch.manual_seed(epoch_seed)
    steps_per_epoch = recipe.steps_per_epoch(len(data.train_images))
    total = torch.zeros((), device=data.device)
    batches = training_batches(data.train_images, data.train_labels, recipe, epoch_seed)
    loss_of = partial(_loss, network, recipe)
    step, parts = 0, 1
    before, steps = epoch * steps_per_epoch, recipe.epochs * steps_per_epoch
    for step, (images, labels) in enumerate(batches):
        rate = recipe.learning_rate_at(before + step, steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss, parts = backward_in_parts(network, images, labels, loss_of, parts)
        regulariser = orthonormal_loss(network, recipe.orthonormal_alpha)
        if regulariser.requires_grad:  # not where no layer has one
            regulariser.backward()
        optimizer.step()
        optimizer.zero_grad()
        if state.average is not None:
            state.average.update_parameters(network)
        total += loss.detach()
        if on_step is not None:
            on_step(before + step + 1, steps)
    return _checked_loss(float(total) / (step + 1), epoch)


def _average(network: nn.Module, recipe: Recipe) -> AveragedModel | None:
    if not recipe.ema:
        return None
    return AveragedModel(network, multi_avg_fn=partial(_update_average, recipe.ema), use_buffers=True)


@torch.no_grad()
def _update_average(ema: float, averages: Tensors, values: Tensors, updates: Tensor | int) -> None:
    """Exponential average whose memory grows with the number of updates, so that it soon forgets the first weights."""
    kept = min(ema, (1 + float(updates)) / (10 + float(updates)))
    for average, value in zip(averages, values, strict=True):
        if average.is_floating_point():
            average.lerp_(value.to(average.device), 1 - kept)
        else:
            average.copy_(value)


def _checked_loss(loss: float, epoch: int) -> float:
    # Guessing among a million classes costs 14 nats: a mean loss of 50 has nothing to do with learning any more.
    if not math.isfinite(loss) or loss > 50:
        raise TrainingError(f"loss is {loss:.3g} after epoch {epoch + 1}; try a lower learning rate")
    return loss


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    decayed = [p for p in network.parameters() if p.ndim > 1 or recipe.decay_all]
    plain = [p for p in network.parameters() if p.ndim <= 1 and not recipe.decay_all]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.SGD(
        groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.nesterov, fused=True
    )
