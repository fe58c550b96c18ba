"""The parts of a final comparison: who takes part, the queue of trainings, and the numbers in the table."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bsconv_nas import search
from bsconv_nas.data import ImageData, load_search_data
from bsconv_nas.engine.search import Verdict
from bsconv_nas.errors import StudyError, UsageError
from bsconv_nas.evaluation import EpochResult
from bsconv_nas.final.contestants import Contestant, choose, default_budgets
from bsconv_nas.final.nearest import named_references, nearest_references, reference_cost
from bsconv_nas.final.queue import FinalQueue
from bsconv_nas.final.records import WEIGHTS, best_weights, read_record, write_record
from bsconv_nas.final.results import summarise
from bsconv_nas.spaces.files import find_space
from bsconv_nas.spaces.networks import ArchSpace
from bsconv_nas.statistics.intervals import mean_interval
from bsconv_nas.train.recipe import Recipe
from tests.searches import new_study, table_space

NETS = [Contestant("searched", f"trial-{n}", 2e5, 1000 * (n + 1), 10, n, 0.5 + n / 10) for n in range(3)]


@pytest.fixture(scope="module")
def data() -> ImageData:
    return load_search_data("digits")


def queue(data: ImageData, folder: Path, seeds: int = 2, **recipe: Any) -> FinalQueue:
    return FinalQueue(NETS, range(seeds), data, Recipe(epochs=2, **recipe), folder)


def run(jobs: FinalQueue, count: int, top1: float = 0.5) -> list[str]:
    """Do so many jobs, with two epochs each; the names of their folders."""
    done: list[str] = []
    for _ in range(count):
        job = jobs.next()
        assert job is not None
        assert job.weights is not None
        for epoch in (1, 2):
            assert jobs.report(job.number, EpochResult(epoch, 2, top1 - epoch / 100)) is Verdict.CONTINUE
        jobs.finish(job.number)
        job.weights.touch()
        done.append(job.weights.parent.name)
    return done


# The queue


def test_seed_by_seed_and_again_only_what_is_missing(data: ImageData, tmp_path: Path) -> None:
    first = run(queue(data, tmp_path), 4)
    assert first == ["trial-0-s0", "trial-1-s0", "trial-2-s0", "trial-0-s1"]
    again = queue(data, tmp_path)
    assert not again.complete
    assert run(again, 2) == ["trial-1-s1", "trial-2-s1"]
    assert again.next() is None
    assert again.complete
    assert run(queue(data, tmp_path, seeds=3), 3) == ["trial-0-s2", "trial-1-s2", "trial-2-s2"]


def test_other_settings_are_trained_anew(data: ImageData, tmp_path: Path) -> None:
    run(queue(data, tmp_path), 6)
    assert queue(data, tmp_path).waiting_at_start == 0
    assert queue(data, tmp_path, learning_rate=0.1).waiting_at_start == 6


def test_a_record_has_the_best_epoch_by_validation(data: ImageData, tmp_path: Path) -> None:
    run(queue(data, tmp_path), 1)
    record = read_record(tmp_path / "jobs" / "trial-0-s0")
    assert record is not None
    assert (record.best_epoch, record.val_top1, record.test_top1) == (1, 0.49, None)


def test_a_suspended_queue_leaves_its_jobs_for_later(data: ImageData, tmp_path: Path) -> None:
    jobs = queue(data, tmp_path)
    job = jobs.next()
    assert job is not None
    jobs.suspend("interrupted")
    assert jobs.report(job.number, EpochResult(1, 2, 0.5)) is Verdict.SUSPEND
    assert jobs.report(job.number, EpochResult(2, 2, 0.5)) is Verdict.CONTINUE  # final: it is as good as done
    assert jobs.next() is None
    assert not jobs.complete
    assert queue(data, tmp_path).waiting_at_start == 6


def test_a_failed_job_does_not_stop_the_others(data: ImageData, tmp_path: Path) -> None:
    jobs = queue(data, tmp_path, seeds=1)
    job = jobs.next()
    assert job is not None
    jobs.fail(job.number, "loss is nan\ntraceback")
    run(jobs, 2)
    assert jobs.complete
    assert jobs.failed == {"trial-0-s0": "loss is nan"}


def test_a_damaged_record_is_trained_again(data: ImageData, tmp_path: Path) -> None:
    run(queue(data, tmp_path), 6)
    (tmp_path / "jobs/trial-1-s0/record.json").write_text("{")
    assert queue(data, tmp_path).waiting_at_start == 1


def test_the_best_weights_are_those_of_the_best_seed_by_validation(data: ImageData, tmp_path: Path) -> None:
    for seed, (val, test) in enumerate([(0.6, 0.9), (0.8, 0.5), (0.7, 0.7)]):
        folder = tmp_path / "final/jobs" / f"trial-0-s{seed}"
        run(FinalQueue(NETS[:1], [seed], data, Recipe(epochs=2), tmp_path / "final"), 1, val + 0.01)
        record = read_record(folder)
        assert record is not None
        assert best_weights(tmp_path, 0, "trial-0") is None or seed > 0
        write_record(folder, record.tested(test, 100))
    found = best_weights(tmp_path, 0, "trial-0")
    assert found is not None
    assert found[0] == tmp_path / "final/jobs/trial-0-s1" / WEIGHTS
    assert [record.test_top1 for record in found[1]] == [0.5, 0.9, 0.7]
    assert best_weights(tmp_path, 0, "another network") is None


# The table


def records_of(data: ImageData, folder: Path, accuracies: dict[str, list[float]]) -> list[Any]:
    run(queue(data, folder, seeds=3), 9)
    records = []
    for name, values in accuracies.items():
        for seed, value in enumerate(values):
            record = read_record(folder / "jobs" / f"{name}-s{seed}")
            assert record is not None
            records.append(record.tested(value, 400))
    return records


def test_mean_interval_is_students() -> None:
    values = [0.90, 0.91, 0.95]
    expected = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    assert mean_interval(values) == pytest.approx((expected[0], min(1.0, expected[1])))
    assert mean_interval([0.5, 0.5]) == (0.5, 0.5)


def test_rows_rank_correlation_and_files(data: ImageData, tmp_path: Path) -> None:
    accuracies = {"trial-0": [0.9, 0.8, 0.7], "trial-1": [0.6, 0.6, 0.6], "trial-2": [0.95, 0.9, 0.85]}
    results = summarise(NETS, records_of(data, tmp_path, accuracies), 2, range(3), "digits")
    assert [row.name for row in results.rows] == ["trial-0", "trial-1", "trial-2"]
    assert results.rows[0].mean == pytest.approx(0.8)
    assert results.rows[0].std == pytest.approx(0.1)
    assert results.rank_correlation == pytest.approx(0.5)
    results.write(tmp_path)
    stored = json.loads((tmp_path / "results.json").read_text())
    assert stored["schema_version"] == 1
    assert set(stored) == {
        *("schema_version", "epochs", "seeds", "data", "rank_correlation", "reference_share", "margins", "rows")
    }
    row = "kind name trial budget macs params brief_val_top1 test_top1 mean std interval costs"
    assert set(stored["rows"][0]) == set(row.split())
    assert stored["rows"][0]["test_top1"] == [0.9, 0.8, 0.7]
    assert len(list(csv.DictReader((tmp_path / "results.csv").read_text().splitlines()))) == 3
    assert "wide for so few" in (tmp_path / "results.md").read_text()


def test_the_share_of_the_hypervolume_that_hand_made_networks_have(data: ImageData, tmp_path: Path) -> None:
    hand_made = Contestant("reference", "trial-1", 4000, 2000, 10)
    found = [replace(NETS[0], budget=4000), hand_made, replace(NETS[2], budget=4000)]  # of 1000, 2000 and 3000 MACs
    records = records_of(data, tmp_path, {"trial-0": [0.2], "trial-1": [0.4], "trial-2": [0.6]})
    results = summarise(found, records, 2, [0], "digits")
    own = 0.2 * math.log(4)
    assert results.reference_share == pytest.approx(own / (own + 0.2 * math.log(8 / 3)))
    assert "The front of the hand-made networks alone has 59 % of the hypervolume" in results.to_markdown()
    assert summarise(NETS[:1], records[:1], 2, [0], "digits").reference_share is None


def test_one_seed_has_the_interval_of_the_test_images(data: ImageData, tmp_path: Path) -> None:
    records = records_of(data, tmp_path, {"trial-1": [0.5]})
    results = summarise(NETS, records, 2, [0], "digits")
    (row,) = results.rows
    assert row.interval == pytest.approx([0.4513, 0.5487], abs=1e-4)
    assert row.std == 0
    assert results.rank_correlation is None


# Who takes part


@pytest.mark.parametrize(("budget", "size"), [(20e6, (32, 32)), (4e5, (8, 8)), (300e6, (224, 224))])
def test_nearest_references_are_within_the_budget(budget: float, size: tuple[int, int]) -> None:
    found = nearest_references(budget, size, 10)
    assert len(found) == 2
    assert "_bsconv" in found[0].name
    assert (
        found[1].name.split("_w")[0].endswith(("mobilenetv1", "mobilenetv2", "mobilenetv3_small", "mobilenetv3_large"))
    )
    assert all(0.4 * budget < reference.macs <= budget for reference in found)


def test_no_reference_is_small_enough_for_a_tiny_budget() -> None:
    assert nearest_references(1000, (8, 8), 10) == []
    assert reference_cost("cifar_resnet20_bsconvu", (32, 32), 10).macs == 7_250_560


def test_a_study_without_results_or_of_points_has_no_contestants() -> None:
    study = new_study(table_space())
    with pytest.raises(StudyError, match="no complete trial"):
        default_budgets(study)
    with pytest.raises(StudyError, match="no network of the front"):
        choose(study, [100.0], 3, (8, 8))
    with pytest.raises(UsageError, match="--top"):
        choose(study, [100.0], 0, (8, 8))


def test_what_the_search_began_with_takes_part_as_a_reference() -> None:
    space = ArchSpace(find_space("cifar"), (32, 32), 10)
    study = search(space, lambda g: math.log(space.cost(g)["macs"]) / 20, {"macs": 6e6}, trials=5)
    found = choose(study, [4.73e6, 6e6], 2, (32, 32), references="cifar_resnet20_bsconvs_p1d4")
    hand_made = {c.name: c.trial for c in found if c.kind == "reference"}
    assert hand_made == {
        "cifar_resnet20_bsconvs_p1d4": None,
        "mobilenetv1-w1d8-bsconvu": 0,
        "resnet-bsconvs-p1d4": 1,
        "resnet-bsconvs-p1d8": 2,
    }
    assert {c.trial for c in found if c.kind == "searched"} <= {3, 4}


def test_references_by_name_come_with_their_smallest_budget() -> None:
    found = named_references("*resnet20_bsconvs*, cifar_wrn16_1*", [4e6, 5e6, 6e6], (32, 32), 10)
    assert {(budget, cost.name) for budget, cost in found} == {
        (4e6, "cifar_resnet20_bsconvs_p1d8"),
        (4e6, "cifar_preresnet20_bsconvs_p1d8"),
        (5e6, "cifar_resnet20_bsconvs_p1d4"),
        (5e6, "cifar_preresnet20_bsconvs_p1d4"),
        (4e6, "cifar_wrn16_1_bsconvs_p1d4"),
        (4e6, "cifar_wrn16_1_bsconvs_p1d8"),
        (6e6, "cifar_wrn16_1_bsconvu"),
    }
    with pytest.raises(UsageError, match=r"no network fits 'efficientnet\*' within 5\.00M MACs"):
        named_references("*resnet20*,efficientnet*", [5e6], (32, 32), 10)
