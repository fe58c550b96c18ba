"""MobileNetV1, V2 and V3 as tables, with the blueprint variants of the paper (sections 4.1 and 4.2)."""

from fractions import Fraction
from typing import NamedTuple

from torch import Tensor, nn

from bsconv_nas.errors import UsageError
from bsconv_nas.models.layers import SE_REDUCTION, ConvUnit, OrthonormalConvUnit, SqueezeExcitation
from bsconv_nas.models.network import ReferenceNetwork, image_size
from bsconv_nas.nn.bsconv import BSConvU
from bsconv_nas.nn.replacers import ModuleFilter, ModuleReplacer, ModuleTransformer


class Unit(NamedTuple):
    """One bottleneck: channels after the expansion, channels after the projection, squeeze-excitation between."""

    mid: int
    out: int
    se: bool = False


class Stage(NamedTuple):
    """Units in a row; the first one has the stride."""

    stride: int
    cifar_stride: int
    units: tuple[Unit, ...]
    kernel_size: int = 3
    activation: str = "relu6"


class Bottlenecks(NamedTuple):
    """A MobileNetV2 or V3: the head's width follows the width multiplier only upwards."""

    stem: int
    stages: tuple[Stage, ...]
    head: int
    activation: str
    head_names: tuple[str, str]
    head_se: bool = False


_V1_STEM = 32
_V1_STAGES = ((1, 1, (64,)), (2, 1, (128,) * 2), (2, 2, (256,) * 2), (2, 2, (512,) * 6), (2, 2, (1024,) * 2))

_V2 = Bottlenecks(
    stem=32,
    stages=(
        Stage(1, 1, (Unit(32, 16),)),
        Stage(2, 1, (Unit(96, 24), Unit(144, 24))),
        Stage(2, 2, (Unit(144, 32), Unit(192, 32), Unit(192, 32))),
        Stage(2, 2, (Unit(192, 64), *(Unit(384, 64),) * 3, Unit(384, 96), Unit(576, 96), Unit(576, 96))),
        Stage(2, 2, (Unit(576, 160), Unit(960, 160), Unit(960, 160), Unit(960, 320))),
    ),
    head=1280,
    activation="relu6",
    head_names=("final_conv", "global_pool"),
)

_V3_SMALL = Bottlenecks(
    stem=16,
    stages=(
        Stage(2, 1, (Unit(16, 16, True),), 3, "relu"),
        Stage(2, 2, (Unit(72, 24), Unit(88, 24)), 3, "relu"),
        Stage(
            2,
            2,
            (Unit(96, 40, True), Unit(240, 40, True), Unit(240, 40, True), Unit(120, 48, True), Unit(144, 48, True)),
            5,
            "hswish",
        ),
        Stage(2, 2, (Unit(288, 96, True), Unit(576, 96, True), Unit(576, 96, True)), 5, "hswish"),
    ),
    head=576,
    activation="hswish",
    head_names=("final_conv1", "final_pool"),
    head_se=True,
)

_V3_LARGE = Bottlenecks(
    stem=16,
    stages=(
        Stage(1, 1, (Unit(16, 16),), 3, "relu"),
        Stage(2, 1, (Unit(64, 24), Unit(72, 24)), 3, "relu"),
        Stage(2, 2, (Unit(72, 40, True), Unit(120, 40, True), Unit(120, 40, True)), 5, "relu"),
        Stage(
            2,
            2,
            (Unit(240, 80), Unit(200, 80), Unit(184, 80), Unit(184, 80), Unit(480, 112, True), Unit(672, 112, True)),
            3,
            "hswish",
        ),
        Stage(2, 2, (Unit(672, 160, True), Unit(960, 160, True), Unit(960, 160, True)), 5, "hswish"),
    ),
    head=960,
    activation="hswish",
    head_names=("final_conv1", "final_pool"),
)

_BOTTLENECKS = {"v2": _V2, "v3_small": _V3_SMALL, "v3_large": _V3_LARGE}

VERSIONS = ("v1", *_BOTTLENECKS)


class SeparableUnit(nn.Sequential):
    """Depthwise separable convolution (MobileNetV1, figure 3): depthwise, then pointwise."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv_dw = ConvUnit(in_channels, in_channels, 3, stride, groups=in_channels)
        self.conv_pw = ConvUnit(in_channels, out_channels)


class BlueprintUnit(nn.Sequential):
    """The same turned round (section 4.1): pointwise, then depthwise, then one normalisation and ReLU."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__(
            BSConvU(in_channels, out_channels, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class _SeparableUnits(ModuleFilter):
    def apply(self, module: nn.Module, name: str, full_name: str) -> bool:
        return isinstance(module, SeparableUnit)


class _ToBlueprint(ModuleTransformer):
    def apply(self, module: nn.Module, name: str, full_name: str) -> nn.Module:
        assert isinstance(module, SeparableUnit)
        depthwise, pointwise = module.conv_dw.conv, module.conv_pw.conv
        return BlueprintUnit(depthwise.in_channels, pointwise.out_channels, depthwise.stride[0])


class BottleneckUnit(nn.Module):
    """Inverted residual: 1x1 expansion, depthwise, optional squeeze-excitation, 1x1 projection without activation.

    With `orthonormal` the projection is regularised: this is all of the BSConv-S variant (section 4.2), since its
    layers are already those of a BSConv-S that begins with the projection of the unit before.
    """

    def __init__(self, in_channels: int, unit: Unit, stride: int, stage: Stage, orthonormal: bool) -> None:
        super().__init__()
        projection = OrthonormalConvUnit if orthonormal else ConvUnit
        self.residual = in_channels == unit.out and stride == 1
        self.conv1 = ConvUnit(in_channels, unit.mid, activation=stage.activation)
        self.conv2 = ConvUnit(unit.mid, unit.mid, stage.kernel_size, stride, unit.mid, activation=stage.activation)
        self.se_unit = SqueezeExcitation(unit.mid) if unit.se else nn.Identity()
        self.conv3 = projection(unit.mid, unit.out, activation=None)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv3(self.se_unit(self.conv2(self.conv1(x))))
        return x + y if self.residual else y


def build_mobilenet(
    version: str, width: Fraction, cifar: bool, bsconv: bool, num_classes: int, in_channels: int = 3
) -> ReferenceNetwork:
    """A MobileNet with all channels times `width`, rounded down.

    `bsconv` means BSConv-U for V1 and the orthonormal regularisation of BSConv-S (p = 1/6) for V2 and V3.

    Raises:
        UsageError: `width` leaves a layer without channels.
    """
    least = least_width(version)
    if width < least:
        raise UsageError(f"width {width} leaves a layer of MobileNet{version} without channels; allowed: from {least}")
    if version == "v1":
        return _build_v1(float(width), cifar, bsconv, num_classes, in_channels)
    return _build_bottlenecks(_BOTTLENECKS[version], float(width), cifar, bsconv, num_classes, in_channels)


def _build_v1(width: float, cifar: bool, bsconv: bool, num_classes: int, in_channels: int) -> ReferenceNetwork:
    channels = int(_V1_STEM * width)
    backbone = nn.Sequential()
    backbone.add_module("data_bn", nn.BatchNorm2d(in_channels))
    backbone.add_module("init_conv", ConvUnit(in_channels, channels, 3, stride=1 if cifar else 2))
    for number, (imagenet_stride, cifar_stride, units) in enumerate(_V1_STAGES, start=1):
        stage = nn.Sequential()
        for index, base in enumerate(units, start=1):
            stride = 1 if index > 1 else cifar_stride if cifar else imagenet_stride
            stage.add_module(f"unit{index}", SeparableUnit(channels, int(base * width), stride))
            channels = int(base * width)
        backbone.add_module(f"stage{number}", stage)
    backbone.add_module("global_pool", nn.AdaptiveAvgPool2d(1))
    network = ReferenceNetwork(backbone, channels, num_classes, image_size(cifar))
    if bsconv:
        # After initialisation, so that blueprint convolutions keep torch's own, as in the original library.
        replacer = ModuleReplacer()
        replacer.add_rule(_SeparableUnits(), _ToBlueprint())
        replacer.apply(network)
    return network


def _build_bottlenecks(
    table: Bottlenecks, width: float, cifar: bool, bsconv: bool, num_classes: int, in_channels: int
) -> ReferenceNetwork:
    channels = int(table.stem * width)
    backbone = nn.Sequential()
    backbone.add_module("data_bn", nn.BatchNorm2d(in_channels))
    stem = ConvUnit(in_channels, channels, 3, stride=1 if cifar else 2, activation=table.activation)
    backbone.add_module("init_conv", stem)
    for number, row in enumerate(table.stages, start=1):
        stage = nn.Sequential()
        for index, base in enumerate(row.units, start=1):
            stride = 1 if index > 1 else row.cifar_stride if cifar else row.stride
            unit = Unit(int(base.mid * width), int(base.out * width), base.se)
            stage.add_module(f"unit{index}", BottleneckUnit(channels, unit, stride, row, orthonormal=bsconv))
            channels = unit.out
        backbone.add_module(f"stage{number}", stage)
    conv_name, pool_name = table.head_names
    head = int(table.head * max(1.0, width))
    backbone.add_module(conv_name, ConvUnit(channels, head, activation=table.activation))
    if table.head_se:
        backbone.add_module("final_se", SqueezeExcitation(head))
    backbone.add_module(pool_name, nn.AdaptiveAvgPool2d(1))
    return ReferenceNetwork(backbone, head, num_classes, image_size(cifar))


def least_width(version: str) -> Fraction:
    """The width at which the narrowest layer has one channel."""
    if version == "v1":
        return Fraction(1, _V1_STEM)
    table = _BOTTLENECKS[version]
    units = [unit for stage in table.stages for unit in stage.units]
    squeezed = [unit.mid // SE_REDUCTION for unit in units if unit.se]
    return Fraction(1, min([table.stem, *(unit.mid for unit in units), *(unit.out for unit in units), *squeezed]))
