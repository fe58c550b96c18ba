"""How the layers of a network are dealt out to the stages of a space."""

import pytest

from bsconv_nas.networks.arch import LayerSpec
from bsconv_nas.spaces.stages import grouped, shortcut_of, split
from tests.space_files import space_file, stage


def _layers(*shapes: tuple[int, int]) -> list[LayerSpec]:
    """Layers of widths and strides."""
    return [LayerSpec("U", width, stride=stride) for width, stride in shapes]


@pytest.mark.parametrize(
    ("shapes", "depths"),
    [
        ([], [(0, 0)]),
        ([(8, 2)], [(1, 0)]),
        ([(8, 1)], [(0, 1)]),
        ([(8, 2), (8, 1)], [(1, 1), (2, 0)]),  # the second layer may be of either stage
        ([(8, 2), (8, 1), (8, 1)], [(1, 2), (2, 1)]),
        ([(8, 2), (16, 1)], [(1, 1)]),  # a stage has one width
        ([(8, 2), (8, 2)], []),  # and its stride only once
        ([(8, 1), (8, 2)], []),
        ([(8, 2), (8, 1), (8, 1), (8, 1), (8, 1)], []),  # more layers than stages have
    ],
)
def test_layers_are_dealt_out_in_all_ways_that_agree(
    shapes: list[tuple[int, int]], depths: list[tuple[int, int]]
) -> None:
    stages = space_file(stages=[stage(2, [0, 1, 2], [8, 16]), stage(1, [0, 1, 2], [8, 16])]).stages
    layers = _layers(*shapes)
    dealt = list(split(layers, stages))
    assert [tuple(map(len, parts)) for parts in dealt] == depths
    assert all([layer for part in parts for layer in part] == layers for parts in dealt)


def test_groups_are_in_order_and_the_last_may_be_smaller() -> None:
    layers = _layers(*[(width, 1) for width in (1, 2, 3, 4, 5)])
    assert [[layer.out_channels for layer in group] for group in grouped(layers, 2)] == [[1, 2], [3, 4], [5]]
    assert list(grouped([], 2)) == []


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ([(8, 1)], {"none": "none", "layer": "identity", "pair": "identity"}),
        ([(16, 1)], {"none": "none", "layer": "none", "pair": "projection"}),
        ([(8, 2)], {"none": "none", "layer": "none", "pair": "projection"}),
        ([(16, 1), (8, 1)], {"none": "none", "layer": "identity", "pair": "identity"}),  # the ends of a block count
    ],
)
def test_shortcuts_by_what_enters_and_leaves_a_block(shapes: list[tuple[int, int]], expected: dict[str, str]) -> None:
    group = tuple(_layers(*shapes))
    assert {choice: shortcut_of(group, 8, choice) for choice in expected} == expected
