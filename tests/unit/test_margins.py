"""How far found networks are ahead, and the interval of that."""

from dataclasses import dataclass
from io import StringIO
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table
from scipy import stats

from bsconv_nas.cli.final_tables import margins_table, networks_table
from bsconv_nas.final.margins import Margin, Row, margins
from bsconv_nas.statistics.intervals import difference_interval

accuracies = st.lists(st.integers(0, 1000).map(lambda value: value / 1000), min_size=2, max_size=6)


@pytest.mark.filterwarnings("ignore:Precision loss:RuntimeWarning")  # scipy's, where one list is constant
@given(accuracies, accuracies)
def test_the_interval_of_a_difference_is_welchs(a: list[float], b: list[float]) -> None:
    difference, half_width = difference_interval(a, b)
    assert difference == pytest.approx(np.mean(a) - np.mean(b))
    if np.ptp(a) + np.ptp(b) == 0:
        assert half_width == 0
        return
    expected: Any = stats.ttest_ind(a, b, equal_var=False)
    low, high = expected.confidence_interval(0.95)
    assert (difference - half_width, difference + half_width) == pytest.approx((low, high))


@dataclass
class Net:
    kind: str
    name: str
    macs: int
    test_top1: list[float]
    brief_val_top1: float | None = None
    budget: float | None = None

    @property
    def mean(self) -> float:
        return fmean(self.test_top1)


NETS = [
    Net("searched", "small", 90, [0.50, 0.52], 0.4, 100),
    Net("searched", "lucky", 150, [0.70, 0.72], 0.5, 200),
    Net("searched", "held to be best", 190, [0.60, 0.62], 0.6, 200),
    Net("random", "arm", 120, [0.55, 0.59], 0.5, 200),
    Net("reference", "tiny", 20, [0.30, 0.40], budget=100),
    Net("reference", "bad", 199, [0.10, 0.10], budget=200),
    Net("reference", "beyond", 300, [0.90, 0.90], budget=400),
]


def test_the_network_of_the_search_meets_the_best_others_within_each_budget() -> None:
    found = [(m.budget, m.found, m.kind, m.other, round(m.difference, 6)) for m in margins(NETS)]
    assert found == [
        (100, "small", "reference", "tiny", 0.16),
        (200, "held to be best", "random", "arm", 0.04),
        (200, "held to be best", "reference", "tiny", 0.26),
        (400, "held to be best", "random", "arm", 0.04),
        (400, "held to be best", "reference", "beyond", -0.29),
    ]
    assert margins([net for net in NETS if net.kind != "searched"]) == []
    assert margins(NETS[:3]) == []


def test_single_trainings_have_a_difference_without_interval() -> None:
    single = [Net(net.kind, net.name, net.macs, net.test_top1[:1], net.brief_val_top1, net.budget) for net in NETS]
    assert {margin.half_width for margin in margins(single)} == {None}
    assert str(margins(single)[0]) == "+20.00"


def test_a_margin_reads_in_points() -> None:
    assert str(Margin(6e6, "trial-1", "reference", "resnet", -0.0123, 0.004)) == "-1.23 ± 0.40"


@pytest.mark.parametrize("width", [80, 100, 128])
def test_tables_are_whole_at_any_width(width: int) -> None:
    name = "cifar_mobilenetv3_small_w1d2_bsconvs_p1d6"
    facts: dict[str, Any] = {"budget": 6e6, "params": 123_456, "std": 0.1392, "interval": [0.1271, 0.6278]}
    rows = [
        Row("searched", "trial-1", 1, macs=5_460_000, brief_val_top1=0.6, test_top1=[0.7, 0.7], mean=0.7, **facts),
        Row("reference", name, None, macs=5_400_000, brief_val_top1=None, test_top1=[0.6, 0.6], mean=0.6, **facts),
    ]
    text = printed([networks_table(rows, width), margins_table(margins(rows))], width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    assert text.count("12.71 to 62.78 %") == 2
    assert "+10.00 ± 0.00" in text
    assert ("123k" in text) == (width >= 100)
    assert text.count(name) == {80: 0, 100: 1, 128: 2}[width]  # in how many tables it is on one line


def printed(tables: list[Table], width: int) -> str:
    file = StringIO()
    console = Console(width=width, file=file)
    for table in tables:
        console.print(table)
    return file.getvalue()
