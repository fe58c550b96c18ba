"""Exact cost of an architecture in closed form, without building anything.

Conventions: MACs are the multiply-accumulates of convolutions and linear layers at batch 1; bias, normalisation,
activation and pooling are not counted. This is what the mobile-CNN literature calls FLOPs, and exactly half of what
`torch.utils.flop_counter.FlopCounterMode` shows. Parameters are all trainable numbers. Peak activation memory is the
largest sum, over all convolutions and linear layers, of input, output and whatever a shortcut or squeeze-excitation
keeps meanwhile, in bytes at float32 and batch 1 (normalisation and activation in place).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from bsconv_nas.base.units import MACS_LABEL
from bsconv_nas.networks.arch import ArchSpec, BlockSpec, HeadSpec, LayerSpec, StemSpec
from bsconv_nas.networks.layer_types import LAYER_TYPES, Conv

SE_REDUCTION = 4
_BYTES = 4

Shape = tuple[int, int, int]  # channels, height, width
Unit = Literal["amount", "bytes", "ms"]


class LayerCost(NamedTuple):
    """Cost of one layer; `out_shape` is (channels, height, width), `peak_activation` is in bytes."""

    name: str
    kind: str
    out_shape: Shape
    macs: int
    params: int
    peak_activation: int


@dataclass(frozen=True, slots=True)
class Cost:
    """Total cost of a network and its table of layers, in order of execution."""

    macs: int
    params: int
    peak_activation: int
    layers: tuple[LayerCost, ...]

    @classmethod
    def of(cls, layers: Sequence[LayerCost]) -> "Cost":
        """The cost of layers in a row."""
        return cls(
            sum([row.macs for row in layers]),
            sum([row.params for row in layers]),
            max([row.peak_activation for row in layers]),
            tuple(layers),
        )

    def as_dict(self) -> dict[str, float]:
        """The totals by metric name: what objectives and limits refer to."""
        return {name: metric.value(self) for name, metric in METRICS.items() if metric.value is not None}


class Metric(NamedTuple):
    """A cost that can be an objective, a limit, a column and an axis of a plot.

    Everything that shows costs takes what it needs from these fields (see `networks/metrics.py`):

    - `label`: what it is, on an axis and in a model card.
    - `value`: the cost of a network, never negative; None for one that layers do not tell, which only some spaces have.
    - `name`: short, for headings and after amounts, as in `13.0M MACs`; empty for the key in `METRICS`.
    - `unit`: how amounts are written: `13.0M`, `13.0MB` or `13.00 ms`. Costs in milliseconds are named `..._ms`.
    - `column`: whether tables and plots have it. The cost that a search makes low is always there.
    - `grows`: whether a network costs strictly more when it is wider, has larger images and more classes.
    - `caption`: what is said once, below a table or on the axis of a figure, instead of `label`.
    """

    label: str
    value: Callable[[Cost], float] | None = None
    name: str = ""
    unit: Unit = "amount"
    column: bool = True
    grows: bool = True
    caption: str = ""


METRICS: dict[str, Metric] = {
    "macs": Metric("MACs (FLOPs as in the mobile literature)", lambda cost: cost.macs, "MACs", caption=MACS_LABEL),
    "params": Metric("parameters", lambda cost: cost.params, "params"),
    "peak_activation": Metric(
        "peak activation memory (bytes at float32, batch 1)",
        lambda cost: cost.peak_activation,
        "activations",
        "bytes",
        column=False,
    ),
    # A cost of the spaces that have a table of measured operations: see `networks/latency_table.py`.
    "latency_ms": Metric("latency (ms, batch 1, sum of measured operations)", None, "latency", "ms"),
}


def cost_of(arch: ArchSpec) -> Cost:
    """Exact cost of `arch` at its own image size."""
    rows = [stem_cost(arch.stem, arch.in_channels, arch.image_size)]
    for number, block in enumerate(arch.blocks):
        prefix = f"blocks.{number}."
        rows += [LayerCost(prefix + row.name, *row[1:]) for row in _block(block, rows[-1].out_shape)]
    rows += tail_costs(arch.head, rows[-1].out_shape, arch.num_classes)
    return Cost.of(rows)


@lru_cache(maxsize=1_024)
def stem_cost(stem: StemSpec, in_channels: int, image_size: tuple[int, int]) -> LayerCost:
    """Cost of the stem on images of `image_size` (height, width)."""
    conv = Conv("conv", in_channels, stem.out_channels, stem.kernel_size, stem.stride)
    return LayerCost("stem", "Conv", *_chain((conv,), *image_size))


def block_costs(blocks: Iterable[BlockSpec], in_shape: Shape) -> tuple[LayerCost, ...]:
    """Costs of the layers of blocks in a row, named within their block."""
    rows: list[LayerCost] = []
    for block in blocks:
        rows += _block(block, in_shape)
        in_shape = rows[-1].out_shape
    return tuple(rows)


@lru_cache(maxsize=8_192)
def tail_costs(head: HeadSpec, in_shape: Shape, classes: int) -> tuple[LayerCost, ...]:
    """Costs of what follows the last block: the head's convolution, if any, and the classifier."""
    channels, height, width = in_shape
    if not head.channels:
        return (_classifier(channels, classes),)
    conv = Conv("conv", channels, head.channels)
    return LayerCost("head", "Conv 1x1", *_chain((conv,), height, width)), _classifier(head.channels, classes)


def se_channels(channels: int) -> int:
    """Width of the bottleneck of squeeze-excitation on `channels` channels (MobileNetV3: a quarter)."""
    return max(1, channels // SE_REDUCTION)


def shortest_path(blocks: Iterable[BlockSpec], in_channels: int) -> int:
    """Convolutions on the shortest way through blocks in a row that `in_channels` channels enter.

    An identity shortcut has none, a projection one: it is what a gradient has to come through on its way back.
    """
    convs = 0
    for block in blocks:
        if block.shortcut == "none":
            for layer in block.layers:
                convs += len(layer_convs(layer, in_channels))
                in_channels = layer.out_channels
        else:
            convs += block.shortcut == "projection"
            in_channels = block.out_channels
    return convs


def layer_convs(layer: LayerSpec, in_channels: int) -> tuple[Conv, ...]:
    """The convolutions of a layer that sees `in_channels` channels."""
    convs = LAYER_TYPES[layer.type].convs
    return convs(in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.p)


@lru_cache(maxsize=65_536)
def _block(block: BlockSpec, in_shape: Shape) -> tuple[LayerCost, ...]:
    # Cached because the networks of a search share most of their blocks; names are relative to the block.
    rows: list[LayerCost] = []
    channels, height, width = in_shape
    held = channels * height * width if block.shortcut != "none" else 0
    for number, layer in enumerate(block.layers):
        convs = layer_convs(layer, channels)
        terms = _chain(convs, height, width, held, number == 0, layer.inner_bn, layer.se)
        rows.append(LayerCost(f"layers.{number}", layer.type, *terms))
        channels, height, width = terms[0]
    if block.shortcut == "projection":
        projection = Conv("conv", in_shape[0], channels, 1, block.stride)
        terms = _chain((projection,), in_shape[1], in_shape[2], channels * height * width)
        rows.append(LayerCost("shortcut", "Conv 1x1", *terms))
    return tuple(rows)


def _chain(
    convs: tuple[Conv, ...],
    height: int,
    width: int,
    held: int = 0,
    held_is_input: bool = False,
    inner_bn: bool = False,
    se: bool = False,
) -> tuple[Shape, int, int, int]:
    """Shape, MACs, params and peak of convolutions in a row (and squeeze-excitation on the last output).

    `held` elements stay in memory all the while; with `held_is_input` they are the first convolution's own input.
    """
    macs = params = peak = 0
    for conv in convs:
        weights = conv.out_channels * (conv.in_channels // conv.groups) * conv.kernel_size**2
        elements = conv.in_channels * height * width
        if not (held_is_input and conv is convs[0]):
            elements += held
        height, width = (height - 1) // conv.stride + 1, (width - 1) // conv.stride + 1
        elements += conv.out_channels * height * width
        macs += weights * height * width
        params += weights + 2 * conv.out_channels if inner_bn or conv is convs[-1] else weights
        peak = max(peak, elements)
    channels = convs[-1].out_channels
    if se:
        squeezed = se_channels(channels)
        macs += 2 * channels * squeezed
        params += 2 * channels * squeezed + squeezed + channels
        peak = max(peak, held + channels * height * width + channels + squeezed)
    return (channels, height, width), macs, params, peak * _BYTES


def _classifier(features: int, classes: int) -> LayerCost:
    weights = features * classes
    return LayerCost("classifier", "Linear", (classes, 1, 1), weights, weights + classes, (features + classes) * _BYTES)
