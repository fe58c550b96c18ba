"""ResNets, pre-activation ResNets and wide ResNets with basic blocks, ordinary or with blueprint convolutions."""

from typing import NamedTuple

from torch import Tensor, nn

from bsconv_nas.models.layers import ConvUnit
from bsconv_nas.models.network import ReferenceNetwork, image_size
from bsconv_nas.nn.convert import BSConvSReplacer, BSConvUReplacer

# Blocks per stage. All depths have basic blocks, also 68 and 102.
IMAGENET_DEPTHS: dict[int, tuple[int, ...]] = {
    10: (1, 1, 1, 1),
    18: (2, 2, 2, 2),
    26: (3, 3, 3, 3),
    34: (3, 4, 6, 3),
    68: (3, 4, 23, 3),
    102: (3, 8, 36, 3),
}
CIFAR_DEPTHS: dict[int, tuple[int, ...]] = {
    20: (3, 3, 3),
    56: (9, 9, 9),
    110: (18, 18, 18),
    302: (50, 50, 50),
    602: (100, 100, 100),
}
WIDE_DEPTHS: dict[int, tuple[int, ...]] = {16: (2, 2, 2), 28: (4, 4, 4), 40: (6, 6, 6)}

_IMAGENET_CHANNELS = (64, 128, 256, 512)
_CIFAR_CHANNELS = (16, 32, 64)


class ResNetSpec(NamedTuple):
    """A ResNet by its numbers; `p` is the ratio of BSConv-S, and only with `bsconv` "S"."""

    blocks: tuple[int, ...]
    cifar: bool = False
    preact: bool = False
    width: int = 1
    bsconv: str | None = None
    p: float | None = None


class Stem(nn.Sequential):
    """Input convolution: 7x7 and max pooling for ImageNet, 3x3 for CIFAR (bare in front of pre-activation blocks)."""

    def __init__(self, in_channels: int, cifar: bool, preact: bool) -> None:
        super().__init__()
        if cifar:
            activation = None if preact else "relu"
            self.conv = ConvUnit(in_channels, _CIFAR_CHANNELS[0], 3, bn=not preact, activation=activation)
        else:
            self.conv = ConvUnit(in_channels, _IMAGENET_CHANNELS[0], 7, stride=2)
            self.pool = nn.MaxPool2d(3, stride=2, padding=1)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around which the input, projected where its shape changes, is added before the ReLU."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvUnit(in_channels, out_channels, 3, stride)
        self.conv2 = ConvUnit(out_channels, out_channels, 3, activation=None)
        self.projection = None
        if in_channels != out_channels or stride != 1:
            self.projection = ConvUnit(in_channels, out_channels, 1, stride, activation=None)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.projection is None else self.projection(x)
        return self.relu(self.conv2(self.conv1(x)) + shortcut)


class PreactBlock(nn.Module):
    """Normalisation and ReLU come first; a projection branches off after them, an identity before them."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(in_channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv1 = ConvUnit(in_channels, out_channels, 3, stride)
        self.conv2 = ConvUnit(out_channels, out_channels, 3, bn=False, activation=None)
        self.projection = None
        if in_channels != out_channels or stride != 1:
            self.projection = ConvUnit(in_channels, out_channels, 1, stride, bn=False, activation=None)

    def forward(self, x: Tensor) -> Tensor:
        activated = self.relu(self.bn(x))
        shortcut = x if self.projection is None else self.projection(activated)
        return self.conv2(self.conv1(activated)) + shortcut


class FinalActivation(nn.Sequential):
    """What pre-activation blocks leave to do at the end."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)


def build_resnet(spec: ResNetSpec, num_classes: int, in_channels: int = 3) -> ReferenceNetwork:
    """The ResNet of `spec`. Its width leaves the stem as it is; BSConv also replaces the 3x3 stem of CIFAR nets."""
    block = PreactBlock if spec.preact else BasicBlock
    backbone = nn.Sequential()
    backbone.add_module("data_bn", nn.BatchNorm2d(in_channels))
    backbone.add_module("init_unit", Stem(in_channels, spec.cifar, spec.preact))
    stage_channels = _CIFAR_CHANNELS if spec.cifar else _IMAGENET_CHANNELS
    channels = stage_channels[0]
    for number, (base, blocks) in enumerate(zip(stage_channels, spec.blocks, strict=True), start=1):
        stage = nn.Sequential()
        for unit in range(1, blocks + 1):
            stride = 2 if unit == 1 and number > 1 else 1
            stage.add_module(f"unit{unit}", block(channels, base * spec.width, stride))
            channels = base * spec.width
        backbone.add_module(f"stage{number}", stage)
    if spec.preact:
        backbone.add_module("final_activation", FinalActivation(channels))
    backbone.add_module("global_pool", nn.AdaptiveAvgPool2d(1))
    network = ReferenceNetwork(backbone, channels, num_classes, image_size(spec.cifar))
    # Replaced after initialisation, so that blueprint convolutions keep torch's own, as in the original library.
    if spec.bsconv == "U":
        BSConvUReplacer().apply(network)
    elif spec.bsconv == "S":
        assert spec.p is not None, "the name of a BSConv-S network has its p"
        BSConvSReplacer(p=spec.p, with_bn=True).apply(network)
    return network
