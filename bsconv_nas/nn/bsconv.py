"""Blueprint separable convolutions (Haase and Amthor, CVPR 2020), with the argument names of the original library."""

from typing import Any, Literal, Protocol, cast

import torch
from torch import Tensor, nn

from bsconv_nas.errors import ArchError
from bsconv_nas.networks.layer_types import MIN_MID_CHANNELS, mid_channels

Size = int | tuple[int, int]
PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]


class _Regularised(Protocol):
    def orthonormal_weight(self) -> Tensor: ...


class BSConvU(nn.Sequential):
    """BSConv-U (section 3.1, eq. 4): a 1x1 pointwise, then a k x k depthwise convolution.

    Maps (N, in_channels, H, W) to (N, out_channels, H', W'). Only the depthwise convolution carries stride, padding,
    dilation and bias, so the pointwise runs at the input resolution.

    Args:
        in_channels, out_channels, kernel_size, stride, padding, dilation, bias, padding_mode: as of `nn.Conv2d`.
        with_bn: batch normalisation between the two convolutions.
        bn_kwargs: arguments of that normalisation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        bias: bool = True,
        padding_mode: PaddingMode = "zeros",
        with_bn: bool = False,
        bn_kwargs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.add_module("pw", nn.Conv2d(in_channels, out_channels, 1, bias=False))
        if with_bn:
            self.add_module("bn", nn.BatchNorm2d(out_channels, **(bn_kwargs or {})))
        self.add_module("dw", _depthwise(out_channels, kernel_size, stride, padding, dilation, bias, padding_mode))


class BSConvS(nn.Sequential):
    """BSConv-S (section 3.2, eq. 5): 1x1 M -> M', 1x1 M' -> N, then a k x k depthwise convolution.

    Maps (N, in_channels, H, W) to (N, out_channels, H', W') with M' = min(M, max(min_mid_channels, ceil(p M))). The
    first pointwise is meant to have orthonormal rows: add `orthonormal_loss(model)` to the training loss.

    Args:
        in_channels, out_channels, kernel_size, stride, padding, dilation, bias, padding_mode: as of `nn.Conv2d`.
        p: ratio of the subspace, 0 to 1.
        min_mid_channels: least M', at least 1.
        with_bn: batch normalisation after each pointwise convolution.
        bn_kwargs: arguments of these normalisations.

    Raises:
        ArchError: p or min_mid_channels out of range.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        bias: bool = True,
        padding_mode: PaddingMode = "zeros",
        p: float = 0.25,
        min_mid_channels: int = MIN_MID_CHANNELS,
        with_bn: bool = False,
        bn_kwargs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ArchError(f"p is {p}; allowed: 0 to 1, for example 0.25")
        if min_mid_channels < 1:
            raise ArchError(f"min_mid_channels is {min_mid_channels}; allowed: at least 1")
        mid = mid_channels(in_channels, p, min_mid_channels)
        self.add_module("pw1", nn.Conv2d(in_channels, mid, 1, bias=False))
        if with_bn:
            self.add_module("bn1", nn.BatchNorm2d(mid, **(bn_kwargs or {})))
        self.add_module("pw2", nn.Conv2d(mid, out_channels, 1, bias=False))
        if with_bn:
            self.add_module("bn2", nn.BatchNorm2d(out_channels, **(bn_kwargs or {})))
        self.add_module("dw", _depthwise(out_channels, kernel_size, stride, padding, dilation, bias, padding_mode))

    def orthonormal_weight(self) -> Tensor:
        """The weight that should have orthonormal rows, as a matrix (M', M)."""
        weight = self.get_submodule("pw1").weight
        assert isinstance(weight, Tensor)
        return weight.flatten(1)


def orthonormal_loss(model: nn.Module, alpha: float = 0.1) -> Tensor:
    """Regulariser of BSConv-S (section 3.2, eq. 6): alpha times the sum of ||W W^T - I|| (Frobenius) over all layers.

    Every module whose class has an `orthonormal_weight` method counts once. The live modules are read at each call, so
    copies, averages and wrappers (DataParallel, DDP, torch.compile, EMA) are regularised on their own weights. The
    result is a scalar tensor, zero on the model's device for a model without such layers.
    """
    losses: list[Tensor] = []
    for module in model.modules():
        # Asked of the class: a compiled wrapper forwards the attributes of its inner module, which comes by itself.
        if hasattr(type(module), "orthonormal_weight"):
            weight = cast(_Regularised, module).orthonormal_weight()
            identity = torch.eye(len(weight), dtype=weight.dtype, device=weight.device)
            losses.append(torch.linalg.matrix_norm(weight @ weight.T - identity))
    if losses:
        return alpha * torch.stack(losses).sum()
    return torch.zeros((), device=next((p.device for p in model.parameters()), None))


class RegLossMixin:
    """Gives a model the method `reg_loss`; written beside `nn.Module`, as in `class Net(nn.Module, RegLossMixin)`."""

    def reg_loss(self, alpha: float = 0.1) -> Tensor:
        """`orthonormal_loss` of this model, a scalar tensor to add to the training loss.

        Wrappers do not have this method; `orthonormal_loss(wrapper)` gives the same loss.
        """
        assert isinstance(self, nn.Module), "RegLossMixin is for subclasses of torch.nn.Module"
        return orthonormal_loss(self, alpha)


def _depthwise(
    channels: int,
    kernel_size: Size,
    stride: Size,
    padding: Size | str,
    dilation: Size,
    bias: bool,
    padding_mode: PaddingMode,
) -> nn.Conv2d:
    return nn.Conv2d(
        channels,
        channels,
        kernel_size,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=channels,
        bias=bias,
        padding_mode=padding_mode,
    )
