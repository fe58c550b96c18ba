"""Training of small networks: learning, failing, resuming, and the files it leaves."""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bsconv_nas.base.limits import Limits
from bsconv_nas.data import ImageData, load_search_data
from bsconv_nas.engine.search import Search
from bsconv_nas.errors import ArchError, StorageError, TrainingError
from bsconv_nas.evaluation import EpochResult, Job
from bsconv_nas.executors.local import LocalExecutor
from bsconv_nas.networks.arch import ArchSpec, BlockSpec, HeadSpec, LayerSpec, StemSpec
from bsconv_nas.nn.build import build
from bsconv_nas.samplers import make_sampler
from bsconv_nas.spaces.files import find_space
from bsconv_nas.spaces.networks import ArchSpace
from bsconv_nas.train import loop
from bsconv_nas.train.checkpoint import load_checkpoint, load_weights, save_weights
from bsconv_nas.train.evaluator import TrainingEvaluator
from bsconv_nas.train.loop import evaluate_top1
from bsconv_nas.train.recipe import Recipe, default_recipe
from tests.searches import new_study

# Dropout and the regulariser of BSConv-S are in it, so that a resumed training has all kinds of state to restore.
ARCH = ArchSpec(
    (8, 8),
    10,
    StemSpec(8),
    (BlockSpec((LayerSpec("S", 16, stride=2, p=0.5),)), BlockSpec((LayerSpec("U", 24, stride=2),))),
    HeadSpec(dropout=0.2),
)


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load_search_data("digits")


def recipe(data: ImageData, epochs: int = 3, **changes: object) -> Recipe:
    return default_recipe(len(data.train_images), 8, False, epochs).model_copy(update=changes)


def job(folder: Path | None = None, seed: int = 5) -> Job:
    files = {"checkpoint": folder / "c.st", "weights": folder / "w.st"} if folder else {}
    return Job(0, (), seed, ARCH, **files)


def curve(results: Iterator[EpochResult]) -> list[tuple[int, float, float]]:
    return [(result.epoch, result.top1, result.metrics["train_loss"]) for result in results]


def test_digits_are_learned_quickly(digits: ImageData, tmp_path: Path) -> None:
    evaluator = TrainingEvaluator(digits, recipe(digits, epochs=8))
    results = list(evaluator.run(job(tmp_path)))
    assert [result.epoch for result in results] == list(range(1, 9))
    assert results[-1].top1 > 0.75  # rounding differs between machines, and 8 short epochs with it
    assert results[-1].metrics["train_loss"] < results[0].metrics["train_loss"] / 1.5

    network = build(ARCH)
    load_weights(tmp_path / "w.st", network)
    images, labels = torch.tensor(digits.val_images), torch.tensor(digits.val_labels)
    assert evaluate_top1(network, images, labels) == results[-1].top1
    assert network.norm.mean[0].item() == pytest.approx(digits.statistics()[0][0])


def test_the_first_epochs_see_smaller_images(digits: ImageData, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    evaluator = TrainingEvaluator(digits, recipe(digits, epochs=4, small_first=0.5))
    inner = loop.training_batches

    def batches(*args: Any) -> Iterator[tuple[Tensor, Tensor]]:
        for images, labels in inner(*args):
            sizes.append(images.shape[2])
            yield images, labels

    monkeypatch.setattr(loop, "training_batches", batches)
    results = list(evaluator.run(job()))
    half = len(sizes) // 2
    assert sizes == [6] * half + [8] * half
    assert results[-1].top1 > 0.4


def test_equal_seeds_train_equally(digits: ImageData) -> None:
    first, second, other = (curve(TrainingEvaluator(digits, recipe(digits)).run(job(seed=seed))) for seed in (1, 1, 2))
    assert first == second
    assert first != other


def test_one_evaluator_trains_job_after_job_alike(digits: ImageData) -> None:
    evaluator = TrainingEvaluator(digits, recipe(digits, 2))
    first = curve(evaluator.run(job()))
    curve(evaluator.run(job(seed=9)))
    assert curve(evaluator.run(job())) == first


@pytest.mark.parametrize(
    ("interrupted_after", "precision"), [(1, "float32"), (2, "float32"), (3, "float32"), (1, "bfloat16")]
)
def test_a_resumed_training_ends_bit_for_bit_as_an_uninterrupted_one(
    digits: ImageData, tmp_path: Path, interrupted_after: int, precision: str
) -> None:
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    chosen = recipe(digits, precision=precision)
    expected = curve(TrainingEvaluator(digits, chosen).run(job(whole)))
    running = TrainingEvaluator(digits, chosen).run(job(halves))
    for _ in range(interrupted_after):
        next(running)
    running.close()  # type: ignore[attr-defined]
    torch.manual_seed(12345)  # whatever a new process begins with
    assert curve(TrainingEvaluator(digits, chosen).run(job(halves))) == expected
    assert (halves / "w.st").read_bytes() == (whole / "w.st").read_bytes()


@pytest.mark.parametrize("damage", ["empty", "cut", "noise", "other seed", "other recipe"])
def test_a_useless_checkpoint_is_ignored(digits: ImageData, tmp_path: Path, damage: str) -> None:
    expected = curve(TrainingEvaluator(digits, recipe(digits, 2)).run(job()))
    if damage == "other recipe":
        next(TrainingEvaluator(digits, recipe(digits, 2, learning_rate=0.01)).run(job(tmp_path)))
    else:
        next(TrainingEvaluator(digits, recipe(digits, 2)).run(job(tmp_path, 6 if damage == "other seed" else 5)))
    path = tmp_path / "c.st"
    content = path.read_bytes()
    if damage in ("empty", "cut", "noise"):
        path.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "noise": b"\xff" * 999}[damage])
    assert curve(TrainingEvaluator(digits, recipe(digits, 2)).run(job(tmp_path))) == expected


def test_checkpoints_of_another_training_are_not_read(digits: ImageData, tmp_path: Path) -> None:
    next(TrainingEvaluator(digits, recipe(digits)).run(job(tmp_path)))
    assert load_checkpoint(tmp_path / "c.st", "another") is None
    assert load_checkpoint(tmp_path / "missing.st", "another") is None


@pytest.mark.parametrize("rate", [1e4, 1e30])
def test_an_exploding_training_fails_with_a_reason(digits: ImageData, rate: float) -> None:
    evaluator = TrainingEvaluator(digits, recipe(digits, learning_rate=rate))
    with pytest.raises(TrainingError, match=r"loss is \S+ after epoch \d; try a lower learning rate"):
        list(evaluator.run(job()))


def test_a_search_goes_on_after_trainings_that_explode(digits: ImageData, tmp_path: Path) -> None:
    space = ArchSpace(find_space("quick"), (8, 8), 10)
    limits = Limits({"macs": 60e3})
    study = new_study(space, tmp_path, limits=limits)
    search = Search(study, space, make_sampler("random", space, limits, 0), 2)
    LocalExecutor().run(search, TrainingEvaluator(digits, recipe(digits, 1, learning_rate=1e30)))
    assert [record.state for record in study.records] == ["failed", "failed"]
    assert all((record.reason or "").startswith("loss is ") for record in study.records)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_full_disk_is_a_storage_error(digits: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    running = TrainingEvaluator(digits, recipe(digits)).run(job(tmp_path))
    next(running)
    kept = (tmp_path / "c.st").read_bytes()
    monkeypatch.setattr("os.replace", full)
    with pytest.raises(StorageError, match=r"No space left on device; .*what is stored is kept"):
        next(running)
    assert [path.name for path in tmp_path.iterdir()] == ["c.st"]
    assert (tmp_path / "c.st").read_bytes() == kept


def test_the_evaluator_is_sent_without_copies_of_the_data(digits: ImageData) -> None:
    evaluator = TrainingEvaluator(digits, recipe(digits, 1))
    next(evaluator.run(job()))  # by now it holds tensors of its own
    buffers: list[pickle.PickleBuffer] = []
    text = pickle.dumps(evaluator, protocol=5, buffer_callback=buffers.append)
    assert len(text) < 10_000
    assert sum(len(buffer.raw()) for buffer in buffers) == digits.nbytes
    again = pickle.loads(text, buffers=buffers)  # noqa: S301
    assert curve(again.run(job())) == curve(evaluator.run(job()))


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.st", build(ARCH))
    other = build(ArchSpec((8, 8), 10, StemSpec(16), ARCH.blocks))
    with pytest.raises(ArchError, match=r"cannot load weights .*w\.st"):
        load_weights(tmp_path / "w.st", other)
    for path in (tmp_path / "none.st", tmp_path):
        with pytest.raises(ArchError, match="cannot load weights"):
            load_weights(path, other)
