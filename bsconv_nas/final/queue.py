"""Final trainings as jobs: what the executors drive, and what a worker does with one."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bsconv_nas.data import ImageData
from bsconv_nas.engine.search import Verdict
from bsconv_nas.evaluation import EpochResult, Job
from bsconv_nas.final.contestants import Contestant
from bsconv_nas.final.records import WEIGHTS, FinalRecord, job_folder, read_record, write_record
from bsconv_nas.models.named import build_named
from bsconv_nas.nn.build import build
from bsconv_nas.train.evaluator import set_input_statistics
from bsconv_nas.train.full import CHECKPOINT, FullTraining, best_epoch, training_key
from bsconv_nas.train.recipe import Recipe

Progress = Callable[[Job, EpochResult], None]


class FinalQueue:
    """The trainings of all contestants with all seeds that are not done yet: a `JobQueue`.

    First every network with the first seed, then with the next, so that whenever it ends the comparison is fair.
    `failed` has the reasons of trainings that failed in this run, by the name of their folder.

    Args:
        contestants: the networks.
        seeds: one training each; they set initial weights and data order.
        data, recipe: what all are trained with.
        folder: `final/` of the study.
        progress: is told each new result, in the driver's thread.
    """

    def __init__(
        self,
        contestants: Sequence[Contestant],
        seeds: Sequence[int],
        data: ImageData,
        recipe: Recipe,
        folder: Path,
        progress: Progress | None = None,
    ) -> None:
        self.recipe = recipe
        self.failed: dict[str, str] = {}
        self.ended_because: str | None = None
        self._progress = progress
        self._tasks = [(contestant, seed) for seed in seeds for contestant in contestants]
        # Absolute: workers of a running cluster have another working directory.
        self._folders = [job_folder(folder.absolute(), c.name, seed) for c, seed in self._tasks]
        self._keys = [training_key(contestant.identity, seed, data, recipe) for contestant, seed in self._tasks]
        self._curves: dict[int, list[EpochResult]] = {}
        self._waiting = [number for number in range(len(self._tasks)) if self._done(number) is None]
        self.waiting_at_start = len(self._waiting)

    @property
    def records(self) -> dict[Path, FinalRecord]:
        """Records of all trainings that are done, by folder."""
        records = {folder: self._done(number) for number, folder in enumerate(self._folders)}
        return {folder: record for folder, record in records.items() if record is not None}

    @property
    def complete(self) -> bool:
        """Whether every training is done or failed."""
        return len(self.records) + len(self.failed) >= len(self._tasks)

    @property
    def suspended(self) -> bool:
        return self.ended_because is not None

    def suspend(self, reason: str) -> None:
        self.ended_because = self.ended_because or reason

    def next(self) -> Job | None:
        if self.suspended or not self._waiting:
            return None
        number = self._waiting.pop(0)
        contestant, seed = self._tasks[number]
        self._curves[number] = []
        folder = self._folders[number]
        genotype = (contestant.name,)
        return Job(number, genotype, seed, contestant.arch, folder / CHECKPOINT, folder / WEIGHTS)

    def report(self, number: int, result: EpochResult) -> Verdict:
        curve = self._curves[number]
        if result.epoch == len(curve) + 1:
            curve.append(result)
            if self._progress is not None:
                contestant, seed = self._tasks[number]
                self._progress(Job(number, (contestant.name,), seed), result)
        return Verdict.SUSPEND if self.suspended and not result.final else Verdict.CONTINUE

    def finish(self, number: int) -> None:
        curve = self._curves.pop(number)
        contestant, seed = self._tasks[number]
        best = best_epoch(curve)
        record = FinalRecord(
            key=self._keys[number],
            name=contestant.name,
            trial=contestant.trial,
            seed=seed,
            epochs=self.recipe.epochs,
            best_epoch=best.epoch,
            val_top1=best.top1,
            seconds=round(sum(result.metrics.get("seconds", 0.0) for result in curve), 2),
        )
        write_record(self._folders[number], record)
        (self._folders[number] / CHECKPOINT).unlink(missing_ok=True)

    def fail(self, number: int, reason: str) -> None:
        self._curves.pop(number)
        self.failed[self._folders[number].name] = reason.splitlines()[0]

    def _done(self, number: int) -> FinalRecord | None:
        record = read_record(self._folders[number])
        return record if record is not None and record.key == self._keys[number] else None


class FullEvaluator:
    """Trains the network of a job fully into the folder of its weights.

    Args:
        data: training and validation part.
        recipe: hyperparameters.
        device: "cpu" or "cuda".
        threads: CPU threads of torch.
    """

    def __init__(self, data: ImageData, recipe: Recipe, device: str, threads: int) -> None:
        self.recipe = recipe
        self.device = device
        self.threads = threads
        self.data = _plain(data)
        self.statistics = data.statistics()

    def run(self, job: Job) -> Iterator[EpochResult]:
        torch.set_num_threads(self.threads)
        network = build_contestant(job, self.data.num_classes, self.statistics)
        identity = job.arch.arch_id if job.arch is not None else str(job.genotype[0])
        assert job.weights is not None, "every job of the queue has a folder"
        folder = job.weights.parent
        yield from FullTraining(identity, network, self.data, self.recipe, job.seed, folder, self.device).run()


def build_contestant(
    job: Job, num_classes: int, statistics: tuple[tuple[float, ...], tuple[float, ...]] | None = None
) -> nn.Module:
    """The network of a job with initial weights of its seed; references normalise their input by themselves."""
    if job.arch is None:
        return build_named(str(job.genotype[0]), num_classes, job.seed)
    network = build(job.arch, job.seed)
    if statistics is not None:
        set_input_statistics(network, *statistics)
    return network


def _plain(data: ImageData) -> ImageData:
    """The data with plain views of memory maps, so that a shared object store hands them out without a copy."""
    names = ("train_images", "train_labels", "val_images", "val_labels")
    arrays: Mapping[str, np.ndarray] = {name: np.asarray(getattr(data, name)) for name in names}
    return replace(data, **arrays)
