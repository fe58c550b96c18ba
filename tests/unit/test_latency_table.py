"""Operations of networks and spaces, the table of their latencies, and `latency_ms` as a cost."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from bsconv_nas.base.limits import Limits, parse_bound
from bsconv_nas.errors import BudgetError, UsageError
from bsconv_nas.export.fold import folded
from bsconv_nas.networks.arch import ArchSpec, BlockSpec, HeadSpec, LayerSpec, StemSpec
from bsconv_nas.networks.latency_table import LATENCY, LatencyTable, read_table
from bsconv_nas.networks.operations import Operation, operations_of
from bsconv_nas.nn.build import build
from bsconv_nas.samplers.feasible import Feasible
from bsconv_nas.spaces.files import find_space, space_names
from bsconv_nas.spaces.networks import ArchSpace
from bsconv_nas.spaces.operations import operations_in


def small_space(name: str) -> ArchSpace:
    side = {"quick": 8, "cifar": 18, "mobile": 66}[name]
    return ArchSpace(find_space(name), (side, side), 7)


def table(space: ArchSpace, threads: int = 1) -> LatencyTable:
    ms = {operation: 0.01 + operation.out_channels / 1000 for operation in operations_in(space)}
    return LatencyTable(space.fingerprint, "a processor", "2.6", threads, ms, 1.25, ((1.0, 1.25), (3.0, 2.0)))


def run_convolutions(arch: ArchSpec) -> list[tuple[int, ...]]:
    """Shapes of the convolutions that the folded network runs, in order."""
    network, found = folded(build(arch, seed=0)), []

    def note(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        shape = (module.in_channels, module.out_channels, module.kernel_size[0], module.stride[0], module.groups)
        found.append((*shape, *inputs[0].shape[2:]))

    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and ".se." not in name:
            module.register_forward_hook(note)
    network(torch.rand(1, arch.in_channels, *arch.image_size))
    return found


@pytest.mark.parametrize("name", space_names())
def test_operations_are_what_the_folded_network_runs_and_are_in_its_space(name: str) -> None:
    space, rng = small_space(name), random.Random(1)
    known = set(operations_in(space))
    assert len(known) == len(operations_in(space))
    for _ in range(6):
        arch = space.decode(space.random(rng))
        operations = operations_of(arch)
        # A projection is traced after the layers of its block, as it is listed.
        assert [tuple(o[1:]) for o in operations if o.kind == "conv"] == run_convolutions(arch)
    for _ in range(300):
        assert set(operations_of(space.decode(space.random(rng)))) <= known


def test_kinds_of_operations() -> None:
    layer = LayerSpec("S", 8, p=0.25, se=True, activation="silu")
    arch = ArchSpec((9, 9), 5, StemSpec(8, stride=2), (BlockSpec((layer,), "identity"),), HeadSpec(16, "hardswish"))
    kinds = [operation.kind for operation in operations_of(arch)]
    assert kinds == ["norm", "conv", "relu", "conv", "conv", "se", "add", "silu", "conv", "hardswish", "classifier"]
    assert operations_of(arch)[-1] == Operation("classifier", 16, 5, 1, 1, 1, 5, 5)


def test_keys_are_read_back() -> None:
    for operation in operations_in(small_space("quick")):
        assert Operation.parse(operation.key) == operation
    with pytest.raises(ValueError, match="is no operation"):
        Operation.parse("conv 1-2")


@pytest.mark.parametrize("name", space_names())
def test_latency_is_a_cost_only_with_a_table_and_is_the_sum(name: str) -> None:
    plain = small_space(name)
    found = table(plain)
    space, rng = plain.with_latency(found), random.Random(2)
    assert space.fingerprint == plain.fingerprint
    for _ in range(30):
        genotype = space.random(rng)
        operations = operations_of(space.decode(genotype))
        expected = 1.25 * sum(0.01 + operation.out_channels / 1000 for operation in operations)
        costs = space.cost(genotype)
        assert costs.pop(LATENCY) == pytest.approx(expected, abs=1e-6)
        assert costs == plain.cost(genotype)


def test_a_table_is_written_and_read(tmp_path: Path) -> None:
    space = small_space("quick")
    found = table(space)
    found.write(tmp_path / "t.json")
    again = read_table(tmp_path / "t.json", space.fingerprint, 1)
    assert again == found
    assert again.fingerprint == found.fingerprint
    assert replace(found, factor=0.5).fingerprint != found.fingerprint
    assert found.errors == (pytest.approx(0.35), 0.5)


def test_another_or_damaged_table_is_not_read(tmp_path: Path) -> None:
    space, path = small_space("quick"), tmp_path / "t.json"
    assert read_table(path, space.fingerprint, 1) is None
    table(space).write(path)
    assert read_table(path, space.fingerprint, 2) is None
    assert read_table(path, "another space", 1) is None
    data = json.loads(path.read_text())
    broken = [{**data, "ms": {"conv": 1}}, {**data, "schema_version": 2}, {**data, "threads": "x"}, [], {"ms": 1}]
    for value in (*map(json.dumps, broken), path.read_text()[:100], ""):
        path.write_text(value)
        assert read_table(path, space.fingerprint, 1) is None


def test_an_operation_that_the_table_lacks_is_named() -> None:
    space = small_space("quick")
    with pytest.raises(UsageError, match=r"lacks 'relu 3-3 k1 s1 g1 4x4'; measure anew"):
        table(space).sum([Operation("relu", 3, 3, 1, 1, 1, 4, 4)])


def test_a_limit_below_the_cheapest_network_names_it() -> None:
    space = small_space("quick")
    with pytest.raises(BudgetError, match=r"within latency_ms <= 0.1; its cheapest network .* has latency_ms"):
        Feasible(space.with_latency(table(space)), Limits({LATENCY: 0.1}))
    with pytest.raises(UsageError, match="unknown cost 'latency_ms'"):
        Feasible(space, Limits({LATENCY: 0.1}))


@pytest.mark.parametrize(("text", "value"), [("5", 5), ("0.8", 0.8), (" 2.5ms ", 2.5), (".5", 0.5)])
def test_milliseconds_may_be_fractions(text: str, value: float) -> None:
    assert parse_bound(LATENCY, text, "--limit") == value


@pytest.mark.parametrize("text", ["0", "-1", "5s", "fast", "", "300M", "9" * 400])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a positive number of milliseconds; write for example"):
        parse_bound(LATENCY, text, "--limit latency_ms")
