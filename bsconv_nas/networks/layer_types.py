"""The layer types of the design space, one row each.

A layer type is a chain of convolutions, written down as data. Validation, the exact cost and the torch module all
follow from its row, so a new type is one module in `bsconv_nas/nn/` and one row in `LAYER_TYPES`.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

MIN_MID_CHANNELS = 4


class Conv(NamedTuple):
    """One square convolution without bias, padded by `kernel_size // 2`."""

    name: str
    in_channels: int
    out_channels: int
    kernel_size: int = 1
    stride: int = 1
    groups: int = 1


class LayerType(NamedTuple):
    """A kind of layer.

    `convs(in_channels, out_channels, kernel_size, stride, p)` lists its convolutions in order of execution;
    `module` is where its torch module is, as `package.module:Class`. `inner_bn` normalises every convolution's output
    but the last one's (the layer itself always normalises the last).
    """

    title: str
    takes_p: bool
    convs: Callable[[int, int, int, int, float | None], tuple[Conv, ...]]
    module: str


def mid_channels(in_channels: int, p: float, min_mid_channels: int = MIN_MID_CHANNELS) -> int:
    """M' = min(M, max(min_mid_channels, ceil(p M))) of BSConv-S (CVPR 2020, section 3.2).

    The product is taken in floating point as in the original library, where ceil(0.07 * 100) is 8.
    """
    return min(in_channels, max(min_mid_channels, math.ceil(p * in_channels)))


def _bsconv_u(m: int, n: int, kernel_size: int, stride: int, p: float | None) -> tuple[Conv, ...]:
    # The pointwise runs at the input resolution: only the depthwise carries the stride.
    return Conv("pw", m, n), Conv("dw", n, n, kernel_size, stride, groups=n)


def _bsconv_s(m: int, n: int, kernel_size: int, stride: int, p: float | None) -> tuple[Conv, ...]:
    assert p is not None, "LayerSpec requires p for this type"
    mid = mid_channels(m, p)
    return Conv("pw1", m, mid), Conv("pw2", mid, n), Conv("dw", n, n, kernel_size, stride, groups=n)


LAYER_TYPES: dict[str, LayerType] = {
    "U": LayerType("BSConv-U", takes_p=False, convs=_bsconv_u, module="bsconv_nas.nn.bsconv:BSConvU"),
    "S": LayerType("BSConv-S", takes_p=True, convs=_bsconv_s, module="bsconv_nas.nn.bsconv:BSConvS"),
}
