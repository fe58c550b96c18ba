"""A layer type that the package does not have, with its row and its module: for tests that a new one needs no more."""

from typing import Any

from torch import nn

from bsconv_nas.networks.layer_types import Conv, LayerType, mid_channels

NAME = "D"


def _convs(m: int, n: int, kernel_size: int, stride: int, p: float | None) -> tuple[Conv, ...]:
    assert p is not None, "the row says that it takes p"
    mid = mid_channels(m, p)
    return Conv("dw", m, m, kernel_size, stride, groups=m), Conv("reduce", m, mid), Conv("expand", mid, n)


class DepthwiseFirst(nn.Sequential):
    """A k x k depthwise convolution, then two 1x1 ones by way of a share p of the channels."""

    def __init__(
        self, m: int, n: int, size: int, stride: int, padding: int, bias: bool, with_bn: bool, p: float
    ) -> None:
        super().__init__()
        mid = mid_channels(m, p)
        self.dw = nn.Conv2d(m, m, size, stride, padding, groups=m, bias=bias)
        self._normalise(with_bn, after_dw=m)
        self.reduce = nn.Conv2d(m, mid, 1, bias=bias)
        self._normalise(with_bn, after_reduce=mid)
        self.expand = nn.Conv2d(mid, n, 1, bias=bias)

    def _normalise(self, with_bn: bool, **channels: Any) -> None:
        for name, count in channels.items():
            if with_bn:
                self.add_module(name, nn.BatchNorm2d(count))


ROW = LayerType("D, depthwise first", takes_p=True, convs=_convs, module="tests.layer_types:DepthwiseFirst")
