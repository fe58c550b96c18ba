"""Networks as the operations that run at inference: what a table of latencies has an entry for.

Normalisation is folded and pointwise convolutions are merged as in exports. Activations, additions and
squeeze-excitation are operations of their own, because eager PyTorch runs them one after the other; so the few hundred
to thousands of layers of a space share far fewer operations.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple, Self

from bsconv_nas.networks.arch import ArchSpec, BlockSpec, HeadSpec, LayerSpec, StemSpec
from bsconv_nas.networks.cost import Shape, layer_convs
from bsconv_nas.networks.layer_types import Conv

_KEY = re.compile(r"(\w+) (\d+)-(\d+) k(\d+) s(\d+) g(\d+) (\d+)x(\d+)")


class Operation(NamedTuple):
    """One operation on an input of `in_channels` x `height` x `width`.

    `kind` is "norm", "conv", "se", "add", "classifier" (with the pooling before it) or the name of an activation.
    """

    kind: str
    in_channels: int
    out_channels: int
    kernel_size: int
    stride: int
    groups: int
    height: int
    width: int

    @property
    def key(self) -> str:
        """Text such as `conv 16-64 k1 s1 g1 32x32`, which `parse` reads."""
        kind, inner, outer, kernel, stride, groups, height, width = self
        return f"{kind} {inner}-{outer} k{kernel} s{stride} g{groups} {height}x{width}"

    @classmethod
    def parse(cls, key: str) -> Self:
        """The operation of a key.

        Raises:
            ValueError: not a key.
        """
        match = _KEY.fullmatch(key)
        if match is None:
            raise ValueError(f"{key!r} is no operation")
        return cls(match[1], *map(int, match.groups()[1:]))


def operations_of(arch: ArchSpec) -> list[Operation]:
    """The operations of a network, in order."""
    stem, shape = stem_operations(arch.stem, arch.in_channels, arch.image_size)
    blocks, shape = block_operations(arch.blocks, shape)
    return [*stem, *blocks, *tail_operations(arch.head, shape, arch.num_classes)]


@lru_cache(maxsize=1_024)
def stem_operations(
    stem: StemSpec, in_channels: int, image_size: tuple[int, int]
) -> tuple[tuple[Operation, ...], Shape]:
    """Operations of the stem on images of `image_size` (height, width), and the shape of its output."""
    image = (in_channels, *image_size)
    conv = Conv("conv", in_channels, stem.out_channels, stem.kernel_size, stem.stride)
    convs, shape = _convolutions((conv,), image)
    return (_on(image, "norm"), *convs, _on(shape, stem.activation)), shape


def block_operations(blocks: Iterable[BlockSpec], shape: Shape) -> tuple[list[Operation], Shape]:
    """Operations of blocks in a row that `shape` enters, and the shape of their output."""
    rows: list[Operation] = []
    for block in blocks:
        inputs = shape
        for layer in block.layers:
            operations, shape = _layer(layer, shape)
            rows += operations
        if block.shortcut == "none":
            continue
        if block.shortcut == "projection":
            rows += _convolutions((Conv("conv", inputs[0], shape[0], 1, block.stride),), inputs)[0]
        rows.insert(-1, _on(shape, "add"))  # the last activation follows the addition
    return rows, shape


@lru_cache(maxsize=8_192)
def tail_operations(head: HeadSpec, shape: Shape, classes: int) -> tuple[Operation, ...]:
    """Operations after the last block: the head's convolution, if any, pooling and classifier."""
    rows: list[Operation] = []
    if head.channels:
        rows, shape = _convolutions((Conv("conv", shape[0], head.channels),), shape)
        rows.append(_on(shape, head.activation))
    return (*rows, Operation("classifier", shape[0], classes, 1, 1, 1, *shape[1:]))


def _layer(layer: LayerSpec, shape: Shape) -> tuple[list[Operation], Shape]:
    rows, shape = _convolutions(layer_convs(layer, shape[0]), shape)
    if layer.se:
        rows.append(_on(shape, "se"))
    return [*rows, _on(shape, layer.activation)], shape


def _convolutions(convs: tuple[Conv, ...], shape: Shape) -> tuple[list[Operation], Shape]:
    rows: list[Operation] = []
    for conv in _merged(convs):
        _, height, width = shape
        rows.append(Operation("conv", *conv[1:], height, width))
        shape = (conv.out_channels, (height - 1) // conv.stride + 1, (width - 1) // conv.stride + 1)
    return rows, shape


def _merged(convs: tuple[Conv, ...]) -> Iterator[Conv]:
    """The convolutions with two pointwise ones in a row merged where that is cheaper, as `export.fold` does."""
    waiting = convs[0]
    for conv in convs[1:]:
        ends = waiting.in_channels, waiting.out_channels, conv.out_channels
        if _is_pointwise(waiting) and _is_pointwise(conv) and worth_merging(*ends):
            waiting = waiting._replace(out_channels=conv.out_channels)
        else:
            yield waiting
            waiting = conv
    yield waiting


def worth_merging(in_channels: int, inner: int, out_channels: int) -> bool:
    """Whether one pointwise convolution from end to end has no more multiply-accumulates than two by way of `inner`."""
    return in_channels * out_channels <= inner * (in_channels + out_channels)


def _is_pointwise(conv: Conv) -> bool:
    return (conv.kernel_size, conv.stride, conv.groups) == (1, 1, 1)


def _on(shape: Shape, kind: str) -> Operation:
    channels, height, width = shape
    return Operation(kind, channels, channels, 1, 1, 1, height, width)
