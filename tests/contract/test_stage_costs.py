"""Costs put together from stages that are remembered, for every network of small spaces.

A space remembers the stages that it has seen, and a stage's cost depends on more than its own genes: on the channels,
height and width that enter it, and on genes of the whole network. A memory that forgets one of them gives a network
the cost of another one, but only when the two are asked for in that order, so a few random networks do not show it.
"""

from collections.abc import Callable, Iterator

import pytest

from bsconv_nas.networks.cost import cost_of
from bsconv_nas.networks.latency_table import LATENCY, LatencyTable
from bsconv_nas.networks.operations import operations_of
from bsconv_nas.spaces.files import SpaceFile
from bsconv_nas.spaces.genes import Genotype
from bsconv_nas.spaces.networks import ArchSpace
from bsconv_nas.spaces.operations import operations_in
from tests.space_files import space_file, stage

CONVS = {"conv": ["S-1/4", "U"], "kernel_size": [3, 5]}
SPACES = {
    # The second stage sees 32 x 32 pixels or 16 x 16, of the same 8 channels.
    "no-first-stage": space_file(stages=[stage(2, [0, 1], [8]), stage(1, [1, 2], [8])]),
    # It sees the stem's channels or those of the first stage.
    "widths": space_file(stem={"out_channels": [8, 16]}, stages=[stage(1, [0, 1], [8, 24]), stage(1, [1], [8])]),
    "three": space_file(layers=CONVS, stages=[stage(2, [0, 1], [8, 16]), stage(2, [0, 1], [8]), stage(1, [1], [16])]),
    # Genes of the whole network that no stage has among its own.
    "network": space_file(
        network={"shortcut": ["none", "layer", "pair"], "se": [False, True], "activation": ["relu", "silu"]},
        stages=[stage(2, [0, 1, 2], [8]), stage(1, [2, 3], [8])],
    ),
    "head": space_file(network={"head_channels": [0, 32]}, stages=[stage(2, [0, 1], [8]), stage(2, [1], [8])]),
}
ORDERS: dict[str, Callable[[ArchSpace], Iterator[Genotype]]] = {
    "forwards": lambda space: iter(list(space.enumerate())),
    "backwards": lambda space: reversed(list(space.enumerate())),
}


def _space(file: SpaceFile) -> ArchSpace:
    return ArchSpace(file, (32, 32), 10)


def _table(space: ArchSpace) -> LatencyTable:
    """Milliseconds that tell every two operations apart."""
    milliseconds = {operation: 1 + 0.01 * number for number, operation in enumerate(operations_in(space))}
    return LatencyTable(space.fingerprint, "a CPU", "2.0", 1, milliseconds, 1.5, ((1.0, 1.0),))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", SPACES)
def test_every_network_costs_what_its_layers_cost(name: str, order: str) -> None:
    table = _table(_space(SPACES[name]))
    space = _space(SPACES[name]).with_latency(table)
    for genotype in ORDERS[order](space):
        arch = space.decode(genotype)
        cost = cost_of(arch)
        expected = cost.as_dict()
        expected[LATENCY] = pytest.approx(table.sum(operations_of(arch)), abs=1e-6)
        assert space.cost(genotype) == expected, space.to_params(genotype)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", SPACES)
def test_every_network_has_the_traits_that_it_has_alone(name: str, order: str) -> None:
    space = _space(SPACES[name])
    for genotype in ORDERS[order](space):
        alone = _space(SPACES[name])  # has seen nothing else
        assert space.traits(genotype) == alone.traits(genotype), space.to_params(genotype)


def test_the_macs_of_a_stage_behind_one_that_is_left_out_by_hand() -> None:
    """8 channels all along: a layer of BSConv-U at 32 x 32 pixels has 8 x 8 + 9 x 8 = 136 MACs for each of them."""
    space = _space(SPACES["no-first-stage"])
    macs = {
        (first, second): space.cost(space.from_params({"s1.depth": first, "s2.depth": second}))["macs"]
        for first in (1, 0)
        for second in (1, 2)
    }
    stem, classifier = 3 * 8 * 9 * 32**2, 8 * 10
    halving = 8 * 8 * 32**2 + 9 * 8 * 16**2  # its pointwise convolution sees whole images
    assert macs == {
        (1, 1): stem + halving + 136 * 16**2 + classifier,
        (1, 2): stem + halving + 2 * 136 * 16**2 + classifier,
        (0, 1): stem + 136 * 32**2 + classifier,
        (0, 2): stem + 2 * 136 * 32**2 + classifier,
    }
