"""The comparison of real searches, on networks whose front is known."""

import csv
from pathlib import Path

import pytest
from optuna.trial import TrialState

from benchmarks.compare_arms import Comparison, trained, write_trainings
from benchmarks.made_up_study import MadeUpStudy
from bsconv_nas.evaluation import EpochResult
from bsconv_nas.study import TrialRecord


def record(number: int, macs: float, top1: float, minutes: float = 1) -> TrialRecord:
    curve = (EpochResult(1, 2, top1 / 2, {"seconds": 0.0}), EpochResult(2, 2, top1, {"seconds": 60 * minutes}))
    costs = {"macs": macs, "params": macs / 10}
    return TrialRecord(number, TrialState.COMPLETE, (macs,), f"net{macs:g}", costs, top1, number, curve)


def test_shares_of_the_hypervolume_of_the_common_front() -> None:
    # On the axis from 100 to 10 000 the costs lie at 0, 1/2 and 3/4; the floor is 0.2.
    cheap, middle, large = record(0, 100, 0.2), record(1, 1000, 0.4), record(2, 10_000**0.75 * 100**0.25, 0.6, 5)
    arms = {"good": [cheap, middle, large], "poor": [record(0, 1000, 0.3)]}
    comparison = Comparison(arms, 10_000)
    best = 0.2 * 1 / 2 + 0.2 * 1 / 4
    assert comparison.front.floor == 0.2
    assert [comparison.after_trainings("good", n) for n in (1, 2, 3, 4)] == [0, round(0.1 / best, 3), 1, None]
    assert comparison.after_trainings("poor", 1) == pytest.approx(0.05 / best, abs=1e-3)
    assert [comparison.after_minutes("good", n) for n in (0.5, 1.5, 6.9, 7)] == [0, 0, round(0.1 / best, 3), None]
    assert [comparison.best("good", budget) for budget in (99, 100, 5000)] == [None, 0.2, 0.6]
    assert comparison.as_dict([1000])["good"]["best within"] == {"1.00k": 0.4}


def test_all_trainings_of_studies_on_disk(tmp_path: Path) -> None:
    study = MadeUpStudy(tmp_path / "study")
    study.add(4)
    study.add(1, "FAIL")
    records = trained(tmp_path / "study")
    assert len(records) == 4, "a failed one has no accuracy"
    write_trainings({"study": records}, tmp_path / "trainings.csv")
    rows = list(csv.DictReader((tmp_path / "trainings.csv").read_text().splitlines()))
    assert [row["trial"] for row in rows] == [str(record.number) for record in records]
    assert [float(row["val_5"]) for row in rows] == [round(r.top1 or 0, 4) for r in records]
    assert {row["study"] for row in rows} == {"study"}
