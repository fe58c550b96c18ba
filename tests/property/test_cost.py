"""The closed-form cost against the network that is built, counted in two independent ways."""

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bsconv_nas.networks.arch import ArchSpec, BlockSpec, HeadSpec, LayerSpec, StemSpec
from bsconv_nas.networks.cost import Cost, LayerCost, cost_of, shortest_path
from bsconv_nas.nn.blocks import Block, SqueezeExcitation
from bsconv_nas.nn.build import Network, build
from bsconv_nas.spaces.references import REFERENCES
from tests.strategies import archs

BYTES = 4


def _on_meta(arch: ArchSpec) -> tuple[Network, Tensor]:
    """The network and an image without numbers: shapes are all that counting needs."""
    with torch.device("meta"):
        return build(arch).eval(), torch.empty(1, arch.in_channels, *arch.image_size)


class Counter:
    """Runs a network once and notes, from what flows through it, MACs by module, output shapes and peak memory."""

    def __init__(self, arch: ArchSpec) -> None:
        self.macs: dict[str, int] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.peaks: dict[str, int] = {}
        self._kept: list[Tensor] = []
        network, image = _on_meta(arch)
        for name, module in network.named_modules():
            self._watch(name, module)
        with torch.no_grad():
            network(image)
        assert self._kept == []

    def _watch(self, name: str, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(lambda m, inputs, output: self._count(name, m, inputs[0], output))
        elif isinstance(module, Block) and module.shortcut is not None:
            self._keep_during(module.layers, lambda m, inputs: inputs[0])
            if not isinstance(module.shortcut, nn.Identity):
                module.layers.register_forward_hook(lambda m, inputs, output: self._kept.append(output))
                module.shortcut.register_forward_hook(lambda m, inputs, output: self._forget())
        elif isinstance(module, SqueezeExcitation):
            self._keep_during(module, lambda m, inputs: inputs[0])
        module.register_forward_hook(lambda m, inputs, output: self.shapes.update({name: tuple(output.shape[1:])}))

    def _keep_during(self, module: nn.Module, tensor: Callable[[Any, Any], Tensor]) -> None:
        module.register_forward_pre_hook(lambda m, inputs: self._kept.append(tensor(m, inputs)))
        module.register_forward_hook(lambda m, inputs, output: self._forget())

    def _forget(self) -> None:
        self._kept.pop()

    def _count(self, name: str, module: nn.Module, image: Tensor, output: Tensor) -> None:
        weight = module.weight
        assert isinstance(weight, Tensor)
        self.macs[name] = output.numel() * weight[0].numel()
        alive = {id(tensor): tensor.numel() for tensor in (*self._kept, image, output)}
        self.peaks[name] = sum(alive.values()) * BYTES

    def of(self, row: str, counts: dict[str, int]) -> list[int]:
        return [count for name, count in counts.items() if name == row or name.startswith(row + ".")]


def _assert_exact(arch: ArchSpec) -> None:
    cost, counted = cost_of(arch), Counter(arch)
    assert cost.macs == sum(counted.macs.values()) == sum(row.macs for row in cost.layers)
    assert cost.peak_activation == max(counted.peaks.values())
    for row in cost.layers:
        assert row.macs == sum(counted.of(row.name, counted.macs)), row.name
        assert row.peak_activation == max(counted.of(row.name, counted.peaks)), row.name
        shape = counted.shapes[row.name]
        assert row.out_shape == (*shape, *(1,) * (3 - len(shape))), row.name
    assert cost.as_dict() == Cost.of([_counted(row, counted) for row in cost.layers]).as_dict()


def _counted(row: LayerCost, counted: Counter) -> LayerCost:
    """A layer with MACs and peak memory as counted; every metric of `METRICS` is computed from such rows."""
    macs, peak = sum(counted.of(row.name, counted.macs)), max(counted.of(row.name, counted.peaks))
    return row._replace(macs=macs, peak_activation=peak)


@given(archs())
def test_macs_shapes_and_peak_are_those_of_the_network(arch: ArchSpec) -> None:
    _assert_exact(arch)


@given(archs())
def test_parameters_are_those_of_the_network(arch: ArchSpec) -> None:
    network, _ = _on_meta(arch)
    cost = cost_of(arch)
    by_row: dict[str, int] = defaultdict(int)
    for name, parameter in network.named_parameters():
        by_row[next(row.name for row in cost.layers if name.startswith(row.name + "."))] += parameter.numel()
    assert {row.name: row.params for row in cost.layers} == by_row
    assert cost.params == sum(p.numel() for p in network.parameters()) == sum(row.params for row in cost.layers)


@given(archs())
def test_macs_are_half_of_the_flops_that_torch_counts(arch: ArchSpec) -> None:
    assert 2 * cost_of(arch).macs == _torch_flops(arch)


def _torch_flops(arch: ArchSpec) -> int:
    network, image = _on_meta(arch)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(image)
    return counter.get_total_flops()


@pytest.mark.parametrize("size", [(32, 32), (224, 224), (97, 65)])
@pytest.mark.parametrize("name", REFERENCES)
def test_costs_of_the_references_are_exact(name: str, size: tuple[int, int]) -> None:
    arch = REFERENCES[name](size, 100)
    _assert_exact(arch)
    assert 2 * cost_of(arch).macs == _torch_flops(arch)


@given(archs())
def test_rows_name_the_modules_in_order_of_execution(arch: ArchSpec) -> None:
    rows = [row.name for row in cost_of(arch).layers]
    ran: list[str] = []
    for name in Counter(arch).macs:  # in the order in which the convolutions ran
        row = next(row for row in rows if name == row or name.startswith(row + "."))
        if row not in ran:
            ran.append(row)
    assert ran == rows


@given(archs())
def test_costs_of_the_whole_do_not_depend_on_what_was_asked_before(arch: ArchSpec) -> None:
    before = cost_of(arch)
    cost_of(replace(arch, image_size=(40, 41)))
    assert cost_of(arch) == before


def test_the_pointwise_runs_before_the_stride() -> None:
    """8 -> 16 channels at 32 x 32, stride 2: the 1x1 sees 32 x 32 pixels, the 3x3 depthwise writes 16 x 16."""
    arch = ArchSpec((32, 32), 10, StemSpec(8), (BlockSpec((LayerSpec("U", 16, stride=2),)),))
    row = cost_of(arch).layers[1]
    assert row.macs == 8 * 16 * 32 * 32 + 16 * 9 * 16 * 16
    assert row.out_shape == (16, 16, 16)
    subspace = replace(arch, blocks=(BlockSpec((LayerSpec("S", 16, stride=2, p=0.5),)),))
    assert cost_of(subspace).layers[1].macs == (8 * 4 + 4 * 16) * 32 * 32 + 16 * 9 * 16 * 16


def test_peak_activation_by_hand() -> None:
    """8 channels of 4 x 4 pixels, 128 numbers, are the unit."""
    plain = ArchSpec((4, 4), 2, StemSpec(8), (BlockSpec((LayerSpec("U", 8),)),), in_channels=1)
    assert cost_of(plain).peak_activation == 2 * 128 * BYTES  # input and output of a convolution
    identity = replace(plain, blocks=(BlockSpec((LayerSpec("U", 8),), "identity"),))
    assert cost_of(identity).peak_activation == 3 * 128 * BYTES  # and the input of the block, at its depthwise
    excited = replace(plain, blocks=(BlockSpec((LayerSpec("U", 32, se=True),)),))
    assert cost_of(excited).layers[1].peak_activation == 8 * 128 * BYTES
    widest = replace(plain, image_size=(1, 1), blocks=(BlockSpec((LayerSpec("U", 32, 1, se=True),)),))
    assert cost_of(widest).layers[1].peak_activation == (32 + 32 + 8) * BYTES  # what is scaled, pooled and squeezed


def test_totals_of_a_network_without_blocks() -> None:
    arch = ArchSpec((5, 3), 7, StemSpec(4, 3, 2), (), HeadSpec(6), in_channels=2)
    cost = cost_of(arch)
    assert [row.name for row in cost.layers] == ["stem", "head", "classifier"]
    assert cost.macs == math.prod((2, 4, 9, 3, 2)) + math.prod((4, 6, 3, 2)) + 6 * 7
    assert cost.params == (2 * 4 * 9 + 8) + (4 * 6 + 12) + (6 * 7 + 7)


@given(archs())
def test_the_shortest_path_is_that_of_the_modules(arch: ArchSpec) -> None:
    network, _ = _on_meta(arch)
    convs = 0
    for block in network.blocks:
        assert isinstance(block, Block)
        if block.shortcut is None:
            names = [name for name, module in block.layers.named_modules() if isinstance(module, nn.Conv2d)]
            convs += sum(".se." not in name for name in names)
        else:
            convs += sum(isinstance(module, nn.Conv2d) for module in block.shortcut.modules())
    assert shortest_path(arch.blocks, arch.stem.out_channels) == convs
