"""State of an unfinished training on disk, and final weights; safetensors, never pickle."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from bsconv_nas.base.files import canonical_json, write_atomic
from bsconv_nas.errors import ArchError
from bsconv_nas.evaluation import EpochResult
from bsconv_nas.train.average import WeightAverage

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Tensors of network, optimizer and averaged weights (`model.*`, `momentum.*`, `average.*`), and results so far."""

    tensors: dict[str, Tensor]
    results: list[EpochResult]


@dataclass(frozen=True, slots=True)
class TrainingState:
    """What a training changes: the network, the optimizer and, where the recipe asks for it, averaged weights."""

    network: nn.Module
    optimizer: torch.optim.SGD
    average: WeightAverage | None = None

    @property
    def evaluated(self) -> nn.Module:
        """The network that results are about."""
        return self.network if self.average is None else self.average.network


def save_checkpoint(path: Path, key: str, state: TrainingState, results: list[EpochResult]) -> None:
    """Write the state after an epoch. `key` names the training; only the same training may continue from it.

    Raises:
        StorageError: the file cannot be written.
    """
    tensors = {f"model.{name}": tensor for name, tensor in state.network.state_dict().items()}
    for name, parameter in state.network.named_parameters():
        momentum = state.optimizer.state.get(parameter, {}).get("momentum_buffer")
        if momentum is not None:
            tensors[f"momentum.{name}"] = momentum
    if state.average is not None:
        tensors |= {f"average.{name}": tensor for name, tensor in state.average.network.state_dict().items()}
    rows = [[r.epoch, r.epochs, r.top1, r.metrics] for r in results]
    # Not worth waiting for the disk after every epoch: a checkpoint damaged by a power cut is noticed and left out.
    _write(path, tensors, {"key": key, "results": canonical_json(rows)}, durable=False)


def load_checkpoint(path: Path, key: str) -> Checkpoint | None:
    """Read a checkpoint; None when there is none, it is damaged, or it belongs to another training."""
    try:
        with safe_open(path, framework="pt") as stream:
            metadata: dict[str, str] = stream.metadata() or {}
            if metadata.get("schema_version") != str(SCHEMA_VERSION) or metadata.get("key") != key:
                return None
            results = [EpochResult(*row) for row in json.loads(metadata["results"])]
            return Checkpoint({name: stream.get_tensor(name) for name in stream.keys()}, results)  # noqa: SIM118
    except (OSError, SafetensorError, ValueError, TypeError, KeyError, RecursionError):
        return None


def checkpoint_key(path: Path) -> str | None:
    """Name of the training that a checkpoint belongs to; None when there is none or it is damaged."""
    try:
        with safe_open(path, framework="pt") as stream:
            metadata: dict[str, str] = stream.metadata() or {}
            return metadata.get("key")
    except (OSError, SafetensorError):
        return None


def restore(checkpoint: Checkpoint, state: TrainingState) -> None:
    """Put the state of a checkpoint back."""
    state.network.load_state_dict(_part(checkpoint, "model."))
    momenta = _part(checkpoint, "momentum.")
    for name, parameter in state.network.named_parameters():
        if name in momenta:
            restored = torch.empty_like(parameter, memory_format=torch.preserve_format).copy_(momenta[name])
            state.optimizer.state[parameter]["momentum_buffer"] = restored
    if state.average is not None:
        state.average.network.load_state_dict(_part(checkpoint, "average."))


def _part(checkpoint: Checkpoint, prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in checkpoint.tensors.items() if name.startswith(prefix)}


def save_weights(path: Path, network: nn.Module) -> None:
    """Write the tensors of a network under their own names.

    Raises:
        StorageError: the file cannot be written.
    """
    save_tensors(path, dict(network.state_dict()))


def save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write tensors by name.

    Raises:
        StorageError: the file cannot be written.
    """
    _write(path, tensors, {})


def load_weights(path: Path, network: nn.Module) -> None:
    """Load what `save_weights` wrote.

    Raises:
        ArchError: the file is missing or damaged, or belongs to another network.
    """
    try:
        with safe_open(path, framework="pt") as stream:
            network.load_state_dict({name: stream.get_tensor(name) for name in stream.keys()})  # noqa: SIM118
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ArchError(f"cannot load weights {path}: {reason}; expected the file saved with this network") from error


def _write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, Any], durable: bool = True) -> None:
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomic(path, to_bytes(plain, {"schema_version": str(SCHEMA_VERSION), **metadata}), durable)
