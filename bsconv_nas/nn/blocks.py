"""What networks are made of: input normalisation, convolution units, squeeze-excitation, layers, blocks."""

from importlib import import_module

import torch
from torch import Tensor, nn

from bsconv_nas.networks.arch import BlockSpec, LayerSpec
from bsconv_nas.networks.cost import se_channels
from bsconv_nas.networks.layer_types import LAYER_TYPES

ACTIVATION_MODULES: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hardswish": nn.Hardswish,
    "silu": nn.SiLU,
}


class InputNorm(nn.Module):
    """Subtracts a mean and divides by a standard deviation per channel; both are buffers, so they travel with weights.

    Maps (N, C, H, W) in [0, 1] to the same shape.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.full((channels, 1, 1), 0.5))
        self.register_buffer("std", torch.full((channels, 1, 1), 0.25))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


class ConvUnit(nn.Sequential):
    """Ordinary convolution, batch normalisation and, unless `activation` is None, an activation."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int, activation: str | None
    ) -> None:
        super().__init__()
        padding = kernel_size // 2
        self.add_module("conv", nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False))
        self.add_module("bn", nn.BatchNorm2d(out_channels))
        if activation is not None:
            self.add_module("act", ACTIVATION_MODULES[activation](inplace=True))


class SqueezeExcitation(nn.Module):
    """Channel weights from the global average (MobileNetV3: reduction 4, ReLU, hard sigmoid); keeps (N, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, se_channels(channels), 1)
        self.expand = nn.Conv2d(se_channels(channels), channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = torch.relu(self.reduce(x.mean((2, 3), keepdim=True)))
        return x * nn.functional.hardsigmoid(self.expand(squeezed))


class Layer(nn.Sequential):
    """The convolutions of a layer type, batch normalisation, optional squeeze-excitation and activation."""

    def __init__(self, spec: LayerSpec, in_channels: int, activate: bool = True) -> None:
        super().__init__()
        layer_type = LAYER_TYPES[spec.type]
        module_name, class_name = layer_type.module.split(":")
        convolution = getattr(import_module(module_name), class_name)
        ratio = {"p": spec.p} if layer_type.takes_p else {}
        self.add_module(
            "conv",
            convolution(
                in_channels,
                spec.out_channels,
                spec.kernel_size,
                stride=spec.stride,
                padding=spec.kernel_size // 2,
                bias=False,
                with_bn=spec.inner_bn,
                **ratio,
            ),
        )
        self.add_module("bn", nn.BatchNorm2d(spec.out_channels))
        if spec.se:
            self.add_module("se", SqueezeExcitation(spec.out_channels))
        if activate:
            self.add_module("act", ACTIVATION_MODULES[spec.activation](inplace=True))


class Block(nn.Module):
    """Layers in a row, with the shortcut of the specification around them; the activation follows the addition."""

    def __init__(self, spec: BlockSpec, in_channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential()
        channels = in_channels
        for number, layer in enumerate(spec.layers):
            last = number == len(spec.layers) - 1
            self.layers.append(Layer(layer, channels, activate=not last or spec.shortcut == "none"))
            channels = layer.out_channels
        self.shortcut: nn.Module | None = None
        if spec.shortcut == "identity":
            self.shortcut = nn.Identity()
        elif spec.shortcut == "projection":
            self.shortcut = ConvUnit(in_channels, channels, 1, spec.stride, activation=None)
        self.act = ACTIVATION_MODULES[spec.layers[-1].activation](inplace=True) if self.shortcut else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        if self.shortcut is None or self.act is None:
            return y
        return self.act(y + self.shortcut(x))
