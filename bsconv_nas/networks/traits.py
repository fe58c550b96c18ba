"""What the accuracy of a network follows that no single gene tells, and what is expected of it before any training.

Each trait is one number of the whole network; log errors follow it along a straight line. Five were kept of some
seventy that were tried, for slopes that are alike wherever they were measured: on a table of 576 networks at 16 pixels
and on the trainings of three searches of 57 genes at 32 (benchmarks/README.md).
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bsconv_nas.networks.arch import BlockSpec, LayerSpec
from bsconv_nas.networks.cost import layer_convs, shortest_path
from bsconv_nas.networks.layer_types import LAYER_TYPES

# By how many deviations of the log error a network is worse with 1 more of each trait, the others being equal. Beside
# them MACs say nothing more.
EXPECTED = {"path": 2.0, "width": -1.0, "middle": -0.75, "kernel": -1.0, "depth": -0.75}

_FREE_MIDDLE = 1 / 3  # of its outputs: what a layer without a middle, such as BSConv-U, is as good as


class Part(NamedTuple):
    """Of layers in a row: convolutions on their shortest way, and the channels, middle and kernel of each."""

    path: int
    channels: tuple[int, ...]
    middles: tuple[float, ...]
    kernels: tuple[int, ...]


def part_of(blocks: Sequence[BlockSpec], in_channels: int) -> Part:
    """The part of a network that blocks in a row are, which `in_channels` channels enter."""
    layers = [layer for block in blocks for layer in block.layers]
    channels = tuple(layer.out_channels for layer in layers)
    entering = (in_channels, *channels)
    middles = tuple(_middle(layer, inputs) for layer, inputs in zip(layers, entering, strict=False))
    return Part(shortest_path(blocks, in_channels), channels, middles, tuple(layer.kernel_size for layer in layers))


def _middle(layer: LayerSpec, in_channels: int) -> float:
    if LAYER_TYPES[layer.type].takes_p:
        dense = [conv for conv in layer_convs(layer, in_channels) if conv.groups == 1]
        return dense[0].out_channels
    return _FREE_MIDDLE * layer.out_channels


def traits_of(stem: int, parts: Iterable[Part], head: bool, longest_path: int) -> dict[str, float]:
    """The traits of a network.

    path: convolutions on the shortest way from image to classifier, as a share of the longest in the space. Networks
        that are deep without shortcuts are hard to train.
    width: mean logarithm of the channels of stem and layers.
    middle: mean logarithm of the channels in the middle of the layers (BSConv-S); one of BSConv-U is as good as one of
        BSConv-S with a third of its outputs there.
    kernel: mean logarithm of the kernel sizes in the later half of the layers. In the earlier half they say nothing.
    depth: logarithm of the number of layers.

    Args:
        stem: its channels.
        parts: the layers, in order.
        head: whether it has a convolution.
        longest_path: convolutions in a row in the deepest networks of the space.
    """
    path, channels, middles, kernels = 1 + head, [stem], list[float](), list[int]()
    for part in parts:
        path += part.path
        channels += part.channels
        middles += part.middles
        kernels += part.kernels
    return {
        "path": path / longest_path,
        "width": _mean_log(channels),
        "middle": _mean_log(middles),
        "kernel": _mean_log(kernels[len(kernels) // 2 :]),
        "depth": math.log(max(1, len(kernels))),
    }


def _mean_log(numbers: Sequence[float]) -> float:
    """0 for a network without layers."""
    return sum(map(math.log, numbers)) / max(1, len(numbers))
