"""Final trainings on real images: resumable to the same end, the test part read once and last."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bsconv_nas.data import ImageData, TestData, load_search_data, load_test_data
from bsconv_nas.engine.search import JobQueue
from bsconv_nas.evaluation import EpochResult, Evaluator, Job
from bsconv_nas.executors.local import LocalExecutor
from bsconv_nas.final.contestants import Contestant
from bsconv_nas.final.queue import FinalQueue, FullEvaluator
from bsconv_nas.final.records import WEIGHTS
from bsconv_nas.final.results import FinalResults
from bsconv_nas.final.run import Final, full_recipe
from bsconv_nas.spaces.files import find_space
from bsconv_nas.spaces.networks import ArchSpace


@pytest.fixture(scope="module")
def data() -> ImageData:
    """A part of the digits: trainings of a fraction of a second."""
    whole = load_search_data("digits")
    return replace(
        whole,
        train_images=whole.train_images[:256],
        train_labels=whole.train_labels[:256],
        val_images=whole.val_images[:64],
        val_labels=whole.val_labels[:64],
    )


def final(data: ImageData, folder: Path, seeds: int = 2) -> Final:
    space = ArchSpace(find_space("quick"), data.image_size, data.num_classes)
    found: list[Contestant] = []
    for number in range(2):
        genotype = tuple(gene.choices[number % len(gene.choices)] for gene in space.genes)
        cost = space.cost(genotype)
        arch = space.decode(genotype)
        found.append(
            Contestant("searched", f"trial-{number}", 1e6, int(cost["macs"]), int(cost["params"]), number, 0.5, arch)
        )
    found.append(Contestant("reference", "cifar_mobilenetv1_w1d32", 1e6, 21_776, 5508))
    return Final(found, range(seeds), data, full_recipe(data, "digits", 2), folder)


def queue(given: Final) -> FinalQueue:
    return FinalQueue(given.contestants, given.seeds, given.data, given.recipe, given.folder)


def evaluator(given: Final) -> Evaluator:
    return FullEvaluator(given.data, given.recipe, "cpu", 1)


def load_digits() -> TestData:
    return load_test_data("digits")


def finish(given: Final, jobs: JobQueue | None = None) -> FinalResults:
    jobs = jobs or queue(given)
    LocalExecutor().run(jobs, evaluator(given))
    return given.test(queue(given), load_digits, lambda: None)


class Interrupting:
    """An evaluator that suspends the queue after so many epochs."""

    def __init__(self, inner: Evaluator, jobs: FinalQueue, epochs: int) -> None:
        self.inner, self.jobs, self.left = inner, jobs, epochs

    def run(self, job: Job) -> Iterator[EpochResult]:
        for result in self.inner.run(job):
            self.left -= 1
            if self.left == 0:
                self.jobs.suspend("interrupted")
            yield result


def test_an_interrupted_comparison_ends_as_an_uninterrupted_one(data: ImageData, tmp_path: Path) -> None:
    straight = finish(final(data, tmp_path / "one"))
    other = final(data, tmp_path / "two")
    for epochs in (3, 2, 4):
        jobs = queue(other)
        LocalExecutor().run(jobs, Interrupting(evaluator(other), jobs, epochs))
        assert not jobs.complete
        assert not (other.folder / "results.json").exists()
    resumed = finish(other)
    assert resumed == straight
    assert len(straight.rows) == 3
    assert all(len(row.test_top1) == 2 for row in straight.rows)
    assert (other.folder / "results.json").read_text() == (tmp_path / "one/results.json").read_text()


def test_weights_of_one_seed_stay_and_more_seeds_keep_the_others_results(data: ImageData, tmp_path: Path) -> None:
    first = finish(final(data, tmp_path))
    kept = {path.parent.name.split("-s")[0] for path in tmp_path.glob(f"jobs/*/{WEIGHTS}")}
    assert kept == {"trial-0", "trial-1", "cifar_mobilenetv1_w1d32"}
    assert len(list(tmp_path.glob(f"jobs/*/{WEIGHTS}"))) == 3
    more = final(data, tmp_path, seeds=3)
    assert queue(more).waiting_at_start == 3
    third = finish(more)
    assert [row.test_top1[:2] for row in third.rows] == [row.test_top1 for row in first.rows]
    assert len(list(tmp_path.glob(f"jobs/*/{WEIGHTS}"))) == 3


def test_the_test_part_is_read_once_after_all_trainings(data: ImageData, tmp_path: Path) -> None:
    given = final(data, tmp_path, seeds=1)
    reads: list[int] = []

    def load() -> TestData:
        reads.append(len(list(tmp_path.glob("jobs/*/record.json"))))
        return load_digits()

    LocalExecutor().run(queue(given), evaluator(given))
    assert not reads
    given.test(queue(given), load, lambda: None)
    given.test(queue(given), load, lambda: None)
    assert reads == [3]


@pytest.mark.long  # 40 s, most of it to start Ray; other tests drive the same executor
def test_ray_workers_give_the_same_results(data: ImageData, tmp_path: Path) -> None:
    from bsconv_nas.executors.ray_tune import RayExecutor

    given = final(data, tmp_path / "ray", seeds=1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    RayExecutor(workers=1).run(queue(given), evaluator(given))
    on_ray = given.test(queue(given), load_digits, lambda: None)
    assert on_ray == finish(final(data, tmp_path / "here", seeds=1))
