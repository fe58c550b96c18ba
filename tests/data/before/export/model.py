"""Network 7299dda66c41: 51,328 MACs, 3,482 parameters.

Plain PyTorch: needs torch, and safetensors to load the weights.

    from model import load
    network = load()            # reads model.safetensors beside this file
    logits = network(images)    # float32 (N, C, H, W) in [0, 1], RGB; normalisation is part of the network
"""

from math import ceil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

ARCH: dict[str, Any] = {'schema_version': 1,
 'image_size': [8, 8],
 'num_classes': 10,
 'stem': {'out_channels': 8, 'kernel_size': 3, 'stride': 1, 'activation': 'relu'},
 'blocks': [{'layers': [{'type': 'U', 'out_channels': 8, 'kernel_size': 5, 'stride': 1, 'p': None, 'inner_bn': False, 'se': False, 'activation': 'relu'}], 'shortcut': 'identity'},
            {'layers': [{'type': 'S', 'out_channels': 16, 'kernel_size': 3, 'stride': 2, 'p': 0.125, 'inner_bn': False, 'se': False, 'activation': 'relu'}], 'shortcut': 'none'},
            {'layers': [{'type': 'S', 'out_channels': 64, 'kernel_size': 5, 'stride': 2, 'p': 0.25, 'inner_bn': False, 'se': False, 'activation': 'relu'}], 'shortcut': 'none'}],
 'head': {'channels': 0, 'activation': 'relu', 'dropout': 0.0},
 'in_channels': 3}

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


class ConvUnit(nn.Sequential):
    """Convolution, batch normalisation and, where one is named, activation."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, activation: str | None) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(out)
        if activation:
            self.act = ACTIVATIONS[activation](inplace=True)


class BSConv(nn.Sequential):
    """Blueprint separable convolution: one (U) or two (S) pointwise convolutions, then a depthwise one."""

    def __init__(self, channels: int, spec: dict[str, Any]) -> None:
        super().__init__()
        out, kernel = spec["out_channels"], spec["kernel_size"]
        if spec["type"] == "U":
            self.pw = nn.Conv2d(channels, out, 1, bias=False)
            if spec["inner_bn"]:
                self.bn = nn.BatchNorm2d(out)
        else:
            middle = min(channels, max(4, ceil(spec["p"] * channels)))
            self.pw1 = nn.Conv2d(channels, middle, 1, bias=False)
            if spec["inner_bn"]:
                self.bn1 = nn.BatchNorm2d(middle)
            self.pw2 = nn.Conv2d(middle, out, 1, bias=False)
            if spec["inner_bn"]:
                self.bn2 = nn.BatchNorm2d(out)
        self.dw = nn.Conv2d(out, out, kernel, spec["stride"], kernel // 2, groups=out, bias=False)


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
    """Blueprint separable convolution, batch normalisation, squeeze-excitation and activation where asked for."""

    def __init__(self, channels: int, spec: dict[str, Any], activate: bool) -> None:
        super().__init__()
        self.conv = BSConv(channels, spec)
        self.bn = nn.BatchNorm2d(spec["out_channels"])
        if spec["se"]:
            self.se = SqueezeExcitation(spec["out_channels"])
        if activate:
            self.act = ACTIVATIONS[spec["activation"]](inplace=True)


class Block(nn.Module):
    """Layers in a row; with a shortcut, the last activation comes after the addition."""

    def __init__(self, channels: int, spec: dict[str, Any]) -> None:
        super().__init__()
        layers, kind = spec["layers"], spec["shortcut"]
        inputs = [channels] + [layer["out_channels"] for layer in layers]
        self.layers = nn.Sequential(
            *(Layer(inputs[i], layer, activate=kind == "none" or i + 1 < len(layers)) for i, layer in enumerate(layers))
        )
        self.shortcut: nn.Module | None = None
        if kind != "none":
            self.act = ACTIVATIONS[layers[-1]["activation"]](inplace=True)
            self.shortcut = nn.Identity()
        if kind == "projection":
            self.shortcut = ConvUnit(channels, inputs[-1], 1, layers[0]["stride"], None)

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        return y if self.shortcut is None else self.act(y + self.shortcut(x))


class Network(nn.Module):
    """The whole classifier: (N, C, H, W) in [0, 1] to logits (N, classes)."""

    def __init__(self, arch: dict[str, Any]) -> None:
        super().__init__()
        stem, head = arch["stem"], arch["head"]
        channels = stem["out_channels"]
        self.norm = InputNorm(arch["in_channels"])
        self.stem = ConvUnit(arch["in_channels"], channels, stem["kernel_size"], stem["stride"], stem["activation"])
        self.blocks = nn.Sequential()
        for spec in arch["blocks"]:
            self.blocks.append(Block(channels, spec))
            channels = spec["layers"][-1]["out_channels"]
        self.head: nn.Module = nn.Identity()
        if head["channels"]:
            self.head = ConvUnit(channels, head["channels"], 1, 1, head["activation"])
            channels = head["channels"]
        self.dropout = nn.Dropout(head["dropout"])
        self.classifier = nn.Linear(channels, arch["num_classes"])

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(self.blocks(self.stem(self.norm(x))))
        return self.classifier(self.dropout(x.mean((2, 3))))


def build() -> Network:
    """The network with random weights."""
    return Network(ARCH)


def load(path: str | Path | None = None) -> Network:
    """The network with its trained weights (by default those beside this file), ready for inference."""
    from safetensors.torch import load_file

    network = build()
    network.load_state_dict(load_file(path or Path(__file__).with_name("model.safetensors")))
    return network.eval()
