"""Which layers take other ways through the library than torch's own, whatever network they are part of."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, batch_norm, hardtanh
from torch.overrides import TorchFunctionMode

from bsconv_nas.train.fast_depthwise import Depthwise, Pair, is_slow
from bsconv_nas.train.fast_norm import NarrowBatchNorm, is_narrow
from bsconv_nas.train.gpu_depthwise import GpuDepthwise, compiles, is_square

Function = Callable[..., Any]


def fast_routes(device: torch.device) -> AbstractContextManager[object]:
    """Within it, layers that are slow on `device` are sent through ours: same results up to rounding.

    On CPUs it is gradients that are slow, on GPUs the first use of each shape.
    """
    if device.type == "cpu":
        return _Routes(_ON_CPU, only_for_gradients=True)
    if device.type == "cuda" and compiles(device):
        return _Routes(_ON_GPU, only_for_gradients=False)
    return nullcontext()


class _Routes(TorchFunctionMode):
    """Calls other functions in place of some of torch's."""

    def __init__(self, routes: Mapping[Function, Function], only_for_gradients: bool) -> None:
        super().__init__()
        self._routes = routes
        self._only_for_gradients = only_for_gradients

    def __torch_function__(
        self, func: Function, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if torch.is_grad_enabled() or not self._only_for_gradients:
            func = self._routes.get(func, func)
        return func(*args, **(kwargs or {}))


def _conv2d(fits: Callable[..., bool], ours: Callable[[Tensor, Tensor, Pair, Pair], Tensor]) -> Function:
    """`torch.conv2d`, but by `ours` where a convolution without bias `fits`."""

    def conv2d(
        images: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Pair | int = 1,
        padding: Pair | int | str = 0,
        dilation: Pair | int = 1,
        groups: int = 1,
    ) -> Tensor:
        if bias is None and not isinstance(padding, str):
            step, border = _pair(stride), _pair(padding)
            if fits(images, weight, step, border, _pair(dilation), groups):
                return ours(images, weight, step, border)
        return torch.conv2d(images, weight, bias, stride, padding, dilation, groups)

    return conv2d


def _on_cpu(images: Tensor, weight: Tensor, stride: Pair, padding: Pair) -> Tensor:
    if torch.is_autocast_enabled("cpu"):
        images, weight = images.bfloat16(), weight.bfloat16()
    return Depthwise.apply(images, weight, stride, padding)  # type: ignore[return-value]


def _on_gpu(images: Tensor, weight: Tensor, stride: Pair, padding: Pair) -> Tensor:
    if torch.is_autocast_enabled("cuda"):
        images = images.bfloat16()
    return GpuDepthwise.apply(images, weight, stride[0], padding[0])  # type: ignore[return-value]


def _batch_norm(
    images: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    if not training or weight is None or bias is None or not is_narrow(images):
        return batch_norm(images, running_mean, running_var, weight, bias, training, momentum, eps)
    result, mean, variance = NarrowBatchNorm.apply(images, weight, bias, eps)  # type: ignore[misc]
    if running_mean is not None and running_var is not None:
        count = images.numel() // images.shape[1]
        running_mean.lerp_(mean, momentum)
        running_var.lerp_(variance * (count / (count - 1)), momentum)
    return result


def _mean(values: Tensor, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Tensor:
    if values.ndim != 4 or not isinstance(dim, tuple | list) or tuple(dim) != (2, 3):
        return values.mean(dim, keepdim=keepdim)  # type: ignore[arg-type]
    average = _global_average(values)
    return average if keepdim else average.flatten(1)


def _pool(images: Tensor, output_size: int | tuple[int | None, int | None]) -> Tensor:
    if images.ndim != 4 or output_size not in (1, (1, 1)):
        return adaptive_avg_pool2d(images, output_size)
    return _global_average(images)


def _hardtanh(values: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    if not inplace or values.is_leaf:
        return hardtanh(values, min_val, max_val, inplace)
    return ClampInPlace.apply(values, min_val, max_val)  # type: ignore[return-value]


def _global_average(images: Tensor) -> Tensor:
    return GlobalAverage.apply(images)  # type: ignore[return-value]


def _pair(value: Pair | int) -> Pair:
    return (value, value) if isinstance(value, int) else value


_ON_CPU: dict[Function, Function] = {
    torch.conv2d: _conv2d(is_slow, _on_cpu),
    batch_norm: _batch_norm,
    adaptive_avg_pool2d: _pool,
    Tensor.mean: _mean,
    hardtanh: _hardtanh,
}
_ON_GPU: dict[Function, Function] = {torch.conv2d: _conv2d(is_square, _on_gpu)}


class ClampInPlace(torch.autograd.Function):
    """`hardtanh_(values, low, high)`; ReLU6 is the one from 0 to 6.

    Torch keeps a copy of the values for the gradient; the clamped ones tell as much.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, low: float, high: float) -> Tensor:
        ctx.mark_dirty(values)
        torch.nn.functional.hardtanh_(values, low, high)
        ctx.save_for_backward(values)
        ctx.bounds = low, high
        return values

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (values,) = ctx.saved_tensors
        return torch.ops.aten.hardtanh_backward(gradients[0], values, *ctx.bounds), None, None


class GlobalAverage(torch.autograd.Function):
    """The average of each channel, from (N, C, H, W) to (N, C, 1, 1), with a gradient in the layout of the images.

    That of `mean` is one value per channel, spread out without memory of its own. Layers before it then run in a mixed
    layout: the gradient of a normalisation of 1280 channels of 4x4 pixels takes 24 ms instead of 2 (one core of an AMD
    EPYC (Zen 4), batch 128).
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        ctx.shape = images.shape
        return avg_pool2d(images, tuple(images.shape[2:]))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        area = ctx.shape[2] * ctx.shape[3]
        return (gradients[0] / area).expand(ctx.shape).contiguous(memory_format=torch.channels_last)
