"""What the reference networks are made of. Child names, and so weight names, are those of the original library."""

from torch import Tensor, nn

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "relu6": nn.ReLU6, "hswish": nn.Hardswish}

SE_REDUCTION = 4


class ConvUnit(nn.Sequential):
    """Convolution padded by half its kernel, then batch normalisation and an activation where asked for."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        stride: int = 1,
        groups: int = 1,
        bn: bool = True,
        activation: str | None = "relu",
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, groups=groups, bias=False
        )
        if bn:
            self.bn = nn.BatchNorm2d(out_channels)
        if activation is not None:
            self.activation = ACTIVATIONS[activation](inplace=True)


class OrthonormalConvUnit(ConvUnit):
    """A 1x1 `ConvUnit` whose weight should have orthonormal rows: `orthonormal_loss` finds it."""

    def orthonormal_weight(self) -> Tensor:
        """The weight as a matrix (out_channels, in_channels)."""
        return self.conv.weight.flatten(1)


class HardSigmoid(nn.Module):
    """relu6(x + 3) / 6; torch's own has gradients with a 1/6 in single precision, also for float64, on the CPU."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu6(x + 3) / 6


class SqueezeExcitation(nn.Module):
    """Scales the channels of (N, C, H, W) by weights in [0, 1] from their averages (MobileNetV3, section 5.3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.conv1 = nn.Conv2d(channels, channels // SE_REDUCTION, 1)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels // SE_REDUCTION, channels, 1)
        self.gate = HardSigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.conv2(self.relu(self.conv1(self.pool(x)))))


class PointwiseClassifier(nn.Sequential):
    """Maps pooled features (N, C, 1, 1) to logits (N, num_classes)."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, num_classes, 1)
        self.flatten = nn.Flatten()
