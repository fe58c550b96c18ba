"""Blueprint separable convolutions in place of ordinary ones, untrained or fitted to the trained weights."""

from functools import partial
from typing import Any, Literal, cast, get_args
from weakref import WeakKeyDictionary

import torch
from torch import nn

from bsconv_nas.errors import UsageError
from bsconv_nas.networks.layer_types import MIN_MID_CHANNELS
from bsconv_nas.nn.bsconv import BSConvS, BSConvU, Size, orthonormal_loss
from bsconv_nas.nn.factorise import fit_bsconv_s, fit_bsconv_u
from bsconv_nas.nn.replacers import Conv2dFilter, KernelSizes, ModuleReplacer, ModuleTransformer

Init = Literal["default", "svd"]

_KERNEL_SIZES: tuple[Size, ...] = ((3, 3), (5, 5))


class _Conv2dTransformer(ModuleTransformer):
    """Makes a convolution of `module_type` with the shape, device, dtype and mode of a Conv2d."""

    module_type: type[BSConvU] | type[BSConvS]

    def __init__(self, init: Init, **arguments: Any) -> None:
        if init not in get_args(Init):
            raise UsageError(f"init is {init!r}; allowed: 'default' (untrained) or 'svd' (fitted to the weights)")
        self.init = init
        self.arguments = arguments
        self._errors: WeakKeyDictionary[nn.Module, float] = WeakKeyDictionary()

    def apply(self, module: nn.Module, name: str, full_name: str) -> nn.Module:
        if not isinstance(module, nn.Conv2d) or module.groups != 1:
            raise UsageError(f"{full_name or 'the model'} is {module}; only an ungrouped Conv2d can be converted")
        with torch.device(module.weight.device):
            new = self.module_type(
                module.in_channels,
                module.out_channels,
                cast(Size, module.kernel_size),
                stride=cast(Size, module.stride),
                padding=cast(Size | str, module.padding),
                dilation=cast(Size, module.dilation),
                bias=module.bias is not None,
                padding_mode=module.padding_mode,
                **self.arguments,
            )
        new.to(module.weight.dtype).train(module.training)
        if self.init == "svd":
            self._errors[new] = self._fit(new, module, full_name or "the model")
        return new

    def approximation_error(self, replacement: nn.Module) -> float | None:
        return self._errors.get(replacement)

    def _fit(self, new: BSConvU | BSConvS, conv: nn.Conv2d, where: str) -> float:
        if conv.weight.is_meta or not conv.weight.isfinite().all():
            state = "on the meta device" if conv.weight.is_meta else "not finite"
            raise UsageError(
                f"the weights of {where} are {state}; init='svd' needs trained ones, or use init='default'"
            )
        return fit_bsconv_s(new, conv) if isinstance(new, BSConvS) else fit_bsconv_u(new, conv)


class Conv2dToBSConvUTransformer(_Conv2dTransformer):
    """Conv2d to BSConv-U; see `BSConvUReplacer` for the arguments."""

    module_type = BSConvU

    def __init__(self, with_bn: bool = False, bn_kwargs: dict[str, Any] | None = None, init: Init = "default") -> None:
        super().__init__(init, with_bn=with_bn, bn_kwargs=bn_kwargs)


class Conv2dToBSConvSTransformer(_Conv2dTransformer):
    """Conv2d to BSConv-S; see `BSConvSReplacer` for the arguments."""

    module_type = BSConvS

    def __init__(
        self,
        p: float = 0.25,
        with_bn: bool = False,
        bn_kwargs: dict[str, Any] | None = None,
        min_mid_channels: int = MIN_MID_CHANNELS,
        init: Init = "default",
    ) -> None:
        super().__init__(init, p=p, with_bn=with_bn, bn_kwargs=bn_kwargs, min_mid_channels=min_mid_channels)


class RegLossTransformer(ModuleTransformer):
    """Gives a model the method `reg_loss(alpha=0.1)`, unless it has one; copies of the model use their own weights."""

    def apply(self, module: nn.Module, name: str, full_name: str) -> nn.Module:
        if not hasattr(module, "reg_loss"):
            module.__dict__["reg_loss"] = partial(orthonormal_loss, module)
        return module


class BSConvUReplacer(ModuleReplacer):
    """Replaces ungrouped convolutions of a model by BSConv-U, keeping device, dtype and train or eval mode.

    Args:
        kernel_sizes: which ones, as in `Conv2dFilter`; by default 3x3 and 5x5.
        with_bn, bn_kwargs: batch normalisation between the two convolutions, as in `BSConvU`.
        verbosity: as in `ModuleReplacer`.
        init: "default" starts untrained. "svd" starts from the best blueprint approximation of the weights: each
            filter's (in_channels, height * width) slice becomes the nearest matrix of rank one, and the bias is kept;
            `report` has the relative error of each layer.

    Raises:
        UsageError: an unknown init, or wrong kernel sizes.
    """

    def __init__(
        self,
        kernel_sizes: KernelSizes = _KERNEL_SIZES,
        with_bn: bool = False,
        bn_kwargs: dict[str, Any] | None = None,
        verbosity: int = 0,
        init: Init = "default",
    ) -> None:
        super().__init__(verbosity)
        self.add_rule(Conv2dFilter(kernel_sizes), Conv2dToBSConvUTransformer(with_bn, bn_kwargs, init))


class BSConvSReplacer(ModuleReplacer):
    """Replaces ungrouped convolutions of a model by BSConv-S and gives the model `reg_loss(alpha=0.1)`.

    Args:
        kernel_sizes, with_bn, bn_kwargs, verbosity: as in `BSConvUReplacer`.
        p, min_mid_channels: ratio and least width of the subspace, as in `BSConvS`.
        init: as in `BSConvUReplacer`; with "svd" the rows of the first pointwise are orthonormal.

    Raises:
        UsageError: an unknown init, wrong kernel sizes, or p out of range (the latter when applied).
    """

    def __init__(
        self,
        kernel_sizes: KernelSizes = _KERNEL_SIZES,
        p: float = 0.25,
        with_bn: bool = False,
        bn_kwargs: dict[str, Any] | None = None,
        verbosity: int = 0,
        init: Init = "default",
        min_mid_channels: int = MIN_MID_CHANNELS,
    ) -> None:
        super().__init__(verbosity)
        transformer = Conv2dToBSConvSTransformer(p, with_bn, bn_kwargs, min_mid_channels, init)
        self.add_rule(Conv2dFilter(kernel_sizes), transformer)

    def apply(self, model: nn.Module) -> nn.Module:
        # Not a rule: the first rule that matches wins, and a root convolution needs both.
        return RegLossTransformer().apply(super().apply(model), name="", full_name="")
