"""Network ARCH_ID.

Plain PyTorch: needs torch, and safetensors to load the weights.

    from model import load
    network = load()            # reads model.safetensors beside this file
    logits = network(images)    # float32 (N, C, H, W) in [0, 1], RGB; normalisation is part of the network
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

# The network as data. A convolution is (input channels, output channels, kernel size, stride, groups); what is left out
# at the end is 1. Within "convs", (channels,) is batch normalisation. ARCH_ID is the hash of arch.json's content.
ARCH_ID = ""
NETWORK: dict[str, Any] = {}

ACTIVATIONS = {"relu": nn.ReLU, "relu6": nn.ReLU6, "hardswish": nn.Hardswish, "silu": nn.SiLU}


class InputNorm(nn.Module):
    """Subtracts a mean and divides by a standard deviation per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.zeros(channels, 1, 1))
        self.register_buffer("std", torch.ones(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


def convolution(channels: int, out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False)


class ConvUnit(nn.Sequential):
    """Convolution, batch normalisation and, where one is named, activation."""

    def __init__(self, conv: tuple[int, ...], activation: str | None = None) -> None:
        super().__init__()
        self.conv = convolution(*conv)
        self.bn = nn.BatchNorm2d(conv[1])
        if activation is not None:
            self.act = ACTIVATIONS[activation](inplace=True)


class SqueezeExcitation(nn.Module):
    """Scales channels by weights computed from their global averages."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, max(1, channels // 4), 1)
        self.expand = nn.Conv2d(max(1, channels // 4), channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = torch.relu(self.reduce(x.mean((2, 3), keepdim=True)))
        return x * nn.functional.hardsigmoid(self.expand(squeezed))


class Layer(nn.Sequential):
    """Convolutions in a row, batch normalisation, squeeze-excitation if the layer has it, activation."""

    def __init__(self, convs: dict[str, tuple[int, ...]], activation: str | None, se: bool) -> None:
        super().__init__()
        self.conv = nn.Sequential()
        for name, shape in convs.items():
            self.conv.add_module(name, nn.BatchNorm2d(shape[0]) if len(shape) == 1 else convolution(*shape))
        channels = list(convs.values())[-1][1]
        self.bn = nn.BatchNorm2d(channels)
        if se:
            self.se = SqueezeExcitation(channels)
        if activation is not None:
            self.act = ACTIVATIONS[activation](inplace=True)


class Block(nn.Module):
    """Layers in a row; with a shortcut, the last activation comes after the addition."""

    def __init__(self, layers: list[dict[str, Any]], shortcut: tuple[int, ...] | str | None) -> None:
        super().__init__()
        activations = [layer["activation"] for layer in layers]
        self.shortcut: nn.Module | None = None
        if shortcut is not None:
            self.act = ACTIVATIONS[activations.pop()](inplace=True)
            activations.append(None)
            self.shortcut = ConvUnit(shortcut) if isinstance(shortcut, tuple) else nn.Identity()
        self.layers = nn.Sequential()
        for layer, activation in zip(layers, activations, strict=True):
            self.layers.append(Layer(layer["convs"], activation, layer.get("se", False)))

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        return y if self.shortcut is None else self.act(y + self.shortcut(x))


class Network(nn.Module):
    """The whole classifier: (N, C, H, W) in [0, 1] to logits (N, classes)."""

    def __init__(self, network: dict[str, Any]) -> None:
        super().__init__()
        self.norm = InputNorm(network["in_channels"])
        self.stem = ConvUnit(**network["stem"])
        self.blocks = nn.Sequential(*(Block(**block) for block in network["blocks"]))
        self.head = ConvUnit(**network["head"]) if "head" in network else nn.Identity()
        self.dropout = nn.Dropout(network["dropout"])
        self.classifier = nn.Linear(*network["classifier"])

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(self.blocks(self.stem(self.norm(x))))
        return self.classifier(self.dropout(x.mean((2, 3))))


def build() -> Network:
    """The network with random weights."""
    return Network(NETWORK)


def load(path: str | Path | None = None) -> Network:
    """The network with its trained weights (by default those beside this file), ready for inference."""
    from safetensors.torch import load_file

    network = build()
    network.load_state_dict(load_file(path or Path(__file__).with_name("model.safetensors")))
    return network.eval()
