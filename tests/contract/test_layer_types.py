"""What every row of `LAYER_TYPES` promises; a new row is tested by being there."""

from importlib import import_module

import pytest
import torch
from torch import nn

from bsconv_nas.networks.arch import LayerSpec
from bsconv_nas.networks.cost import layer_convs
from bsconv_nas.networks.layer_types import LAYER_TYPES, Conv, mid_channels
from bsconv_nas.nn.blocks import Layer
from tests.layer_types import NAME, ROW

TYPES = [*LAYER_TYPES, NAME]
WIDTHS = ((1, 1), (3, 8), (5, 16), (8, 5), (16, 16), (33, 20), (100, 64))


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LAYER_TYPES, NAME, ROW)


def _specs(kind: str) -> list[LayerSpec]:
    ratios = (1 / 8, 1 / 6, 0.07, 0.5, 1.0) if LAYER_TYPES[kind].takes_p else (None,)
    return [
        LayerSpec(kind, 8, kernel, stride, p, inner_bn)
        for kernel in (1, 3, 5)
        for stride in (1, 2)
        for p in ratios
        for inner_bn in (False, True)
    ]


@pytest.mark.parametrize("kind", TYPES)
def test_the_module_has_the_convolutions_of_its_row(kind: str) -> None:
    for spec in _specs(kind):
        for in_channels, out_channels in WIDTHS:
            layer = LayerSpec(kind, out_channels, spec.kernel_size, spec.stride, spec.p, spec.inner_bn)
            with torch.device("meta"):
                module = Layer(layer, in_channels).get_submodule("conv")
            built = [_conv(name, conv) for name, conv in module.named_children() if isinstance(conv, nn.Conv2d)]
            assert tuple(built) == layer_convs(layer, in_channels)


def _conv(name: str, conv: nn.Conv2d) -> Conv:
    size, stride = conv.kernel_size[0], conv.stride[0]
    assert conv.kernel_size == (size, size)
    assert conv.stride == (stride, stride)
    assert conv.padding == (size // 2, size // 2)
    assert conv.dilation == (1, 1)
    assert conv.bias is None
    return Conv(name, conv.in_channels, conv.out_channels, size, stride, conv.groups)


@pytest.mark.parametrize("kind", TYPES)
def test_inner_normalisation_follows_every_convolution_but_the_last(kind: str) -> None:
    for spec in _specs(kind):
        children = [type(child) for child in Layer(spec, 6).get_submodule("conv").children()]
        convs = len(layer_convs(spec, 6))
        pair = [nn.Conv2d, nn.BatchNorm2d] if spec.inner_bn else [nn.Conv2d]
        assert children == [*pair * (convs - 1), nn.Conv2d]


@pytest.mark.parametrize("kind", TYPES)
def test_a_row_names_its_module_and_title(kind: str) -> None:
    module, name = LAYER_TYPES[kind].module.split(":")
    assert issubclass(getattr(import_module(module), name), nn.Module)
    assert kind in LAYER_TYPES[kind].title
    assert kind.isalnum(), "labels such as S-1/4 are split at the dash"


@pytest.mark.parametrize(
    ("channels", "p", "mid"),
    [(64, 0.25, 16), (64, 1 / 6, 11), (8, 1 / 8, 4), (3, 1 / 8, 3), (100, 0.07, 8), (1, 1.0, 1), (64, 1.0, 64)],
)
def test_width_of_the_subspace(channels: int, p: float, mid: int) -> None:
    assert mid_channels(channels, p) == mid
