"""A full training of one network: resumable, its best weights kept by validation, tested once at the end."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bsconv_nas.base.files import write_atomic
from bsconv_nas.data import ImageData, TestData
from bsconv_nas.data.images import Images, Labels
from bsconv_nas.errors import UsageError
from bsconv_nas.evaluation import EpochResult
from bsconv_nas.networks.arch import ArchSpec
from bsconv_nas.statistics.intervals import binomial_interval
from bsconv_nas.train.checkpoint import checkpoint_key, load_weights, save_weights
from bsconv_nas.train.loop import StepHook, evaluate_top1, train
from bsconv_nas.train.placement import place, shared_tensor
from bsconv_nas.train.recipe import Recipe

CHECKPOINT, WEIGHTS, LOG, RESULT = "checkpoint.safetensors", "weights.safetensors", "log.csv", "result.json"
NETWORK = "network.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The result of a full training. Accuracies are fractions; the interval is the binomial one at 95 %."""

    model: str
    key: str
    seed: int
    epochs: int
    best_epoch: int
    val_top1: float
    test_top1: float
    test_interval: tuple[float, float]
    test_images: int
    seconds: float


class FullTraining:
    """Trains a network into a folder: checkpoint, log.csv, network.json, weights of the best epoch, result.json.

    The best epoch is that of the highest validation accuracy, the latest of equal ones. The test part is only asked
    for by `finish`.

    Args:
        model: name of the network; with seed, recipe and data it identifies the training in the folder.
        network: freshly built; trained in place.
        data: training and validation part.
        recipe: hyperparameters.
        seed: sets the data order; the initial weights are the caller's.
        folder: where files go.
        device: "cpu" or "cuda".
    """

    def __init__(
        self, model: str, network: nn.Module, data: ImageData, recipe: Recipe, seed: int, folder: Path, device: str
    ) -> None:
        self.model = model
        self.network = network
        self.data = data
        self.recipe = recipe
        self.seed = seed
        self.folder = folder
        self.device = device
        self.results: list[EpochResult] = []

    @property
    def key(self) -> str:
        """What the training is made of; a folder holds one training."""
        return training_key(self.model, self.seed, self.data, self.recipe)

    @property
    def best(self) -> EpochResult:
        """The epoch whose weights are kept."""
        return best_epoch(self.results)

    def run(self, on_step: StepHook | None = None) -> Iterator[EpochResult]:
        """Train, yielding after each epoch; epochs of an earlier run are yielded again.

        `on_step` is told each step done and the number of all steps.

        Raises:
            TrainingError: the loss is not finite.
            StorageError: the folder cannot be written.
        """
        data = self.data
        arrays = (data.train_images, data.train_labels, data.val_images, data.val_labels)
        tensors = place(arrays, self.device)
        checkpoint = self.folder / CHECKPOINT
        write_atomic(self.folder / NETWORK, json.dumps(self._description(), indent=1) + "\n")
        results = train(self.network, tensors, self.recipe, self.seed, checkpoint, self.key, self._keep_best, on_step)
        for result in results:
            self.results.append(result)
            self._write_log()
            yield result

    def finish(self, load_test: Callable[[], TestData]) -> TrainingResult:
        """Read the test part, test the best weights, write `result.json`."""
        load_weights(self.folder / WEIGHTS, self.network)
        test = load_test()
        top1 = top1_on(self.network, test.images, test.labels, self.device)
        result = TrainingResult(
            model=self.model,
            key=self.key,
            seed=self.seed,
            epochs=self.recipe.epochs,
            best_epoch=self.best.epoch,
            val_top1=self.best.top1,
            test_top1=top1,
            test_interval=binomial_interval(top1, len(test.images)),
            test_images=len(test.images),
            seconds=round(sum(r.metrics["seconds"] for r in self.results), 2),
        )
        write_atomic(self.folder / RESULT, json.dumps(asdict(result), indent=1) + "\n")
        (self.folder / CHECKPOINT).unlink(missing_ok=True)
        return result

    def _description(self) -> dict[str, Any]:
        """What is needed to build the network again, and what it was trained on."""
        arch = getattr(self.network, "arch", None)
        return {
            "schema_version": SCHEMA_VERSION,
            "model": self.model,
            "arch": arch.to_dict() if isinstance(arch, ArchSpec) else None,
            "image_size": list(self.data.image_size),
            "classes": list(self.data.classes),
            "data": self.data.name,
            "data_fingerprint": self.data.fingerprint,
            "train_images": len(self.data.train_images),
            "val_images": len(self.data.val_images),
            "seed": self.seed,
            "recipe": self.recipe.model_dump(mode="json"),
        }

    def _keep_best(self, result: EpochResult, network: nn.Module) -> None:
        # Called before the checkpoint is written: after a crash in between the epoch is trained again, to the same end.
        if not self.results or result.top1 >= self.best.top1:
            save_weights(self.folder / WEIGHTS, network)

    def _write_log(self) -> None:
        lines = [
            f"{r.epoch},{r.metrics['train_loss']:.6f},{r.top1:.6f},{r.metrics['seconds']:.2f}" for r in self.results
        ]
        write_atomic(self.folder / LOG, "\n".join(["epoch,train_loss,val_top1,seconds", *lines]) + "\n")


def finished_result(folder: Path, key: str) -> TrainingResult | None:
    """The result of a training that was finished in a folder earlier; None where it is new or unfinished.

    Raises:
        UsageError: the folder holds another training, finished or not.
    """
    result = _read_result(folder / RESULT)
    earlier_key = result.key if result else checkpoint_key(folder / CHECKPOINT)
    if earlier_key not in (None, key):
        other = result.model if result else f"{earlier_key}".split()[0]
        raise UsageError(f"{folder} holds another training ({other}, other settings or data); choose another --to")
    return result


def _read_result(path: Path) -> TrainingResult | None:
    try:
        data: dict[str, Any] = json.loads(path.read_text())
        data["test_interval"] = tuple(data["test_interval"])
        return TrainingResult(**data)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def training_key(model: str, seed: int, data: ImageData, recipe: Recipe) -> str:
    """What a training is made of: only the same training may go on from its checkpoint."""
    return f"{model} {seed} {data.fingerprint} {recipe.identity}"


def best_epoch(results: Sequence[EpochResult]) -> EpochResult:
    """The epoch of the highest validation accuracy, the latest of equal ones: its weights are kept."""
    return max(results, key=lambda result: (result.top1, result.epoch))


def top1_on(network: nn.Module, images: Images, labels: Labels, device: str) -> float:
    """Accuracy in float32, as the network will be used, on images uint8 (N, H, W, 3) and labels (N,)."""
    return evaluate_top1(network.to(device), shared_tensor(images), shared_tensor(labels).to(device))


def default_device() -> str:
    """CUDA where there is any."""
    return "cuda" if torch.cuda.is_available() else "cpu"
