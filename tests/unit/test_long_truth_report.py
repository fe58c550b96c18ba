"""The report on what predicts long trainings: truth, groups and agreement."""

import json
from pathlib import Path

import pytest

from benchmarks.long_truth import HEADER, append_row
from benchmarks.long_truth_report import LongTraining, agreement, long_trainings, nearest_third, table_report
from benchmarks.tables.table import Table

ROW = {"network": "a", "group": "random", "seed": "0", "epochs": "2", "macs": "10", "params": "1", "seconds": "1"}
CURVES = {"val_top1": "0.2000 0.5000", "train_loss": "2.0 1.0"}


def _training(macs: int, truth: float) -> LongTraining:
    return LongTraining(f"{macs}", "random", macs, truth, (truth,), (1.0,))


def test_truth_is_the_mean_over_seeds_of_the_asked_length() -> None:
    first = {**ROW, **CURVES, "test_top1": "0.4"}
    second = {**first, "seed": "1", "test_top1": "0.6"}
    longer = {**first, "epochs": "4", "test_top1": "0.9"}
    (training,) = long_trainings([first, second, longer], 2, with_validation=False)
    assert training.truth == pytest.approx(0.5)
    assert training.train_loss == (2.0, 1.0)
    (training,) = long_trainings([first, longer], 2, with_validation=True)
    assert training.truth == pytest.approx((5000 * 0.5 + 10000 * 0.4) / 15000)


def test_the_nearest_third_is_not_the_most_accurate_third() -> None:
    trainings = [_training(1, 0.3), _training(2, 0.2), _training(3, 0.5), _training(4, 0.4), _training(5, 0.45)]
    assert nearest_third(trainings) == [0, 2]


def test_agreement_of_equal_and_opposite_orders() -> None:
    order = [float(i) for i in range(20)]
    assert agreement(order, order) == [1.0, 1.0, 1.0]
    tau, low, high = agreement([*order[:10], *order[:9:-1]], order)
    assert low < tau < high


def test_the_report_has_every_length_and_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.long_truth_report._DRAWS", 5)
    path = tmp_path / "rows.csv"
    rows = [row for row in Table.read().rows if row.seed == 0][:30]
    for row in rows:
        values = {**ROW, "network": json.dumps(row.genotype), "epochs": "4", "macs": str(row.macs)}
        curve = " ".join(map(str, row.val_top1[4:]))
        append_row(
            path,
            {
                **values,
                "val_top1": curve,
                "train_loss": " ".join(f"{1 - top1}" for top1 in row.val_top1[4:]),
                "test_top1": str(row.test_top1),
            },
        )
    assert tuple(path.read_text().splitlines()[0].split(",")) == HEADER
    result = table_report(path, 4)
    assert result["tau"]["validation after 4 of 4 epochs"]["random"][0] > 0.9
    assert result["tau"]["networks"] == {"all": 30, "random": 30, "nearest third to the front": 10}
    assert set(result["slopes"]) == {"1", "2", "truth"}
