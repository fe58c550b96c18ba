"""Readers of files that strangers may have made: whatever bytes go in, nothing but the errors of a reader comes out."""

import json
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from bsconv_nas.base.toml_files import read_toml
from bsconv_nas.errors import ArchError, UsageError
from bsconv_nas.networks.arch import ArchSpec
from bsconv_nas.samplers.feasible import first_genotype
from bsconv_nas.spaces.files import SpaceFile, find_space
from bsconv_nas.spaces.networks import ArchSpace
from bsconv_nas.study.settings import StudyFile

if TYPE_CHECKING:
    from bsconv_nas.train.checkpoint import TrainingState

ROOT = Path(__file__).parents[2]
KEY = "key"

Reader = Callable[[bytes], None]


@cache
def first_arch() -> ArchSpec:
    space = ArchSpace(find_space("quick"), (8, 8), 10)
    return space.decode(first_genotype(space))


def read_arch(data: bytes) -> None:
    with suppress(ArchError):
        arch = ArchSpec.from_json(data.decode("utf-8", "replace"))
        assert ArchSpec.from_json(arch.to_json()) == arch


def read_study_file(data: bytes) -> None:
    _read_toml(data, StudyFile)


def read_space_file(data: bytes) -> None:
    _read_toml(data, SpaceFile)


def _read_toml(data: bytes, model: type[StudyFile | SpaceFile]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "file.toml"
        path.write_bytes(data)
        with suppress(UsageError):
            found = read_toml(path, model)
            if isinstance(found, StudyFile):
                found.write(Path(folder))
                assert read_toml(Path(folder) / "study.toml", StudyFile) == found
            else:
                space = ArchSpace(found, (32, 32), 10)
                assert space.cost(first_genotype(space))["macs"] > 0


@cache
def _state() -> "TrainingState":
    from torch.optim import SGD

    from bsconv_nas.nn.build import build
    from bsconv_nas.train.checkpoint import TrainingState

    network = build(first_arch(), 0)
    return TrainingState(network, SGD(network.parameters(), 0.1))


def read_checkpoint(data: bytes) -> None:
    """Read a checkpoint and, when it is one, go on from it; read it also as weights."""
    from bsconv_nas.train.checkpoint import checkpoint_key, load_checkpoint, load_weights, restore

    with TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint.safetensors"
        path.write_bytes(data)
        with suppress(ArchError):
            load_weights(path, _state().network)
        checkpoint_key(path)
        checkpoint = load_checkpoint(path, KEY)
        if checkpoint is not None:
            with suppress(RuntimeError):  # of tensors of other shapes: the trial fails, with this as its reason
                restore(checkpoint, _state())


def _checkpoint() -> bytes:
    from bsconv_nas.evaluation import EpochResult
    from bsconv_nas.train.checkpoint import save_checkpoint

    with TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint.safetensors"
        save_checkpoint(path, KEY, _state(), [EpochResult(1, 2, 0.5, {"loss": 1.0})])
        return path.read_bytes()


def holders(data: Any) -> list[tuple[Any, Any]]:
    """Every place in plain data, as the container and the key."""
    keys = list(data) if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else []
    return [pair for key in keys for pair in [(data, key), *holders(data[key])]]


READERS: dict[str, Reader] = {
    "arch": read_arch,
    "study": read_study_file,
    "space": read_space_file,
    "checkpoint": read_checkpoint,
}


@cache
def example_of(name: str) -> bytes:
    """A file that is as it should be."""
    if name == "arch":
        return json.dumps(first_arch().to_dict(), indent=1).encode()
    if name == "checkpoint":
        return _checkpoint()
    return (ROOT / {"study": "studies/digits-tour/study.toml", "space": "search_spaces/quick.toml"}[name]).read_bytes()
