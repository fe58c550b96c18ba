"""Stages of networks: how layers are dealt out to them and grouped into blocks, and their costs, kept once computed."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from bsconv_nas.networks.arch import BlockSpec, LayerSpec
from bsconv_nas.networks.cost import LayerCost, Shape, block_costs
from bsconv_nas.networks.latency_table import LatencyTable
from bsconv_nas.networks.operations import block_operations
from bsconv_nas.networks.traits import Part, part_of
from bsconv_nas.spaces.files import StageChoices

# How layers are grouped under shortcuts: none (MobileNetV1), an identity around every layer whose shape allows it
# (MobileNetV2), or one around every pair of layers with a projection where shapes change (ResNet's basic block).
SHORTCUT_CHOICES = ("none", "layer", "pair")

_MAX_STAGES = 50_000  # stages whose costs are kept


class Stage(NamedTuple):
    """A stage of a network: its layers' costs, milliseconds (0 without a table), and what traits are made of."""

    layers: tuple[LayerCost, ...]
    milliseconds: float
    part: Part


class StageCosts:
    """Stages by what they are made of: the networks that a sampler compares share most of theirs."""

    def __init__(self, latency: LatencyTable | None) -> None:
        self._latency = latency
        self._known: dict[object, Stage] = {}

    def get(self, key: object, in_shape: Shape, blocks_of: Callable[[], Iterable[BlockSpec]]) -> Stage:
        """The stage of a key that holds all it depends on: its genes, the network's, and the shape that enters it."""
        stage = self._known.get(key)
        if stage is None:
            if len(self._known) >= _MAX_STAGES:
                self._known.clear()
            blocks = list(blocks_of())
            milliseconds = self._latency.sum(block_operations(blocks, in_shape)[0]) if self._latency else 0.0
            stage = Stage(block_costs(blocks, in_shape), milliseconds, part_of(blocks, in_shape[0]))
            self._known[key] = stage
        return stage


def split(layers: Sequence[LayerSpec], stages: Sequence[StageChoices]) -> Iterator[list[list[LayerSpec]]]:
    """All ways to deal the layers out to stages so that depths, strides and equal widths agree."""
    if not stages:
        if not layers:
            yield []
        return
    stage = stages[0]
    for depth in stage.depth:
        head = list(layers[:depth])
        strides = itertools.chain((stage.stride,), itertools.repeat(1))
        fits = len(head) == depth and all(s == layer.stride for s, layer in zip(strides, head, strict=False))
        if fits and len({layer.out_channels for layer in head}) <= 1:
            for rest in split(layers[depth:], stages[1:]):
                yield [head, *rest]


def grouped(layers: list[LayerSpec], size: int) -> Iterator[tuple[LayerSpec, ...]]:
    """The layers in groups of `size`; the last one may be smaller."""
    for start in range(0, len(layers), size):
        yield tuple(layers[start : start + size])


def shortcut_of(group: tuple[LayerSpec, ...], channels: int, shortcut: str) -> str:
    """The shortcut of a block that `channels` channels enter, by the network's gene."""
    if shortcut == "none":
        return "none"
    if group[0].stride == 1 and group[-1].out_channels == channels:
        return "identity"
    return "projection" if shortcut == "pair" else "none"


@lru_cache(maxsize=65_536)
def layer_spec(
    label: str, width: int, kernel_size: int, stride: int, inner_bn: bool, se: bool, activation: str
) -> LayerSpec:
    """The layer of a label such as "U" or "S-1/4"."""
    layer_type, _, ratio = label.partition("-")
    p = float(Fraction(ratio)) if ratio else None
    return LayerSpec(layer_type, width, kernel_size, stride, p, inner_bn, se, activation)
