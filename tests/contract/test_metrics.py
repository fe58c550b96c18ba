"""Every row of `METRICS`, whatever it is; a row that is added is held to this before its author writes a test."""

import pytest
from hypothesis import given

from bsconv_nas.base.limits import parse_bound
from bsconv_nas.networks.arch import ArchSpec, BlockSpec, LayerSpec, StemSpec
from bsconv_nas.networks.cost import METRICS, Cost, LayerCost, cost_of
from bsconv_nas.networks.latency_table import LATENCY
from bsconv_nas.networks.metrics import cost_columns, descriptions, format_cost, in_order, metric_of, named_cost
from tests.strategies import archs

COUNTED = [name for name, metric in METRICS.items() if metric.value is not None]


@pytest.mark.parametrize("name", METRICS)
def test_a_row_can_be_shown(name: str) -> None:
    metric = metric_of(name)
    assert metric.label
    assert metric.name
    assert named_cost(name, 12_345_678).endswith(f" {metric.name}")
    assert format_cost(name, 1.5)


@pytest.mark.parametrize("name", METRICS)
def test_a_limit_is_read_in_the_unit_of_its_cost(name: str) -> None:
    assert (METRICS[name].unit == "ms") == name.endswith("_ms")
    assert parse_bound(name, "2", name) == 2


def test_two_rows_are_never_called_the_same() -> None:
    for texts in ([metric_of(name).name for name in METRICS], [metric_of(name).label for name in METRICS]):
        assert len(set(texts)) == len(METRICS)


@given(archs())
def test_costs_are_never_negative_and_named_as_their_rows(arch: ArchSpec) -> None:
    costs = cost_of(arch).as_dict()
    assert list(costs) == COUNTED
    assert all(value >= 0 for value in costs.values())


@pytest.mark.parametrize("name", [name for name in COUNTED if METRICS[name].grows])
def test_a_cost_that_grows_is_higher_for_a_larger_network(name: str) -> None:
    arch = ArchSpec((8, 8), 2, StemSpec(8), (BlockSpec((LayerSpec("U", 8),)),))
    larger = ArchSpec((16, 16), 4, StemSpec(16), (BlockSpec((LayerSpec("U", 32),)),))
    assert cost_of(larger).as_dict()[name] > cost_of(arch).as_dict()[name]


def test_costs_that_are_counted_are_totals_of_layers() -> None:
    layers = (LayerCost("a", "Conv", (1, 1, 1), 2, 3, 40), LayerCost("b", "Conv", (1, 1, 1), 5, 7, 30))
    assert Cost.of(layers) == Cost(7, 10, 40, layers)


def test_latency_has_its_row() -> None:
    assert METRICS[LATENCY].value is None


def test_order_and_columns() -> None:
    known = ["energy", "latency_ms", "peak_activation", "params", "macs"]
    assert in_order(known) == ["macs", "params", "peak_activation", "latency_ms", "energy"]
    assert in_order(known, "energy")[:2] == ["energy", "macs"]
    assert cost_columns(known) == ["macs", "params", "latency_ms", "energy"]
    assert cost_columns(known, "peak_activation")[0] == "peak_activation"
    assert in_order(["params"], "macs") == ["params"]


def test_a_cost_without_a_row_is_called_by_its_name() -> None:
    energy, wait = descriptions(["energy", "wait_ms"], "energy")
    assert energy == {"id": "energy", "name": "energy", "label": "energy", "unit": "amount", "column": True}
    assert wait == {"id": "wait_ms", "name": "wait", "label": "wait (ms)", "unit": "ms", "column": True}
