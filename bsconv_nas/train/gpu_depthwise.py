"""Depthwise convolutions on GPUs without a wait for each new number of channels.

cuDNN compiles kernels for every new shape of a depthwise convolution: 0.6 to 3.6 seconds each on an H200 with torch
2.11 (forward and back, channels last, bfloat16), in all several times what a brief training takes, and no two networks
of a search have the same shapes. The Triton kernels here are compiled once for each kernel size and stride, and kept on
disk.
"""

import importlib.util
import logging
from functools import cache
from subprocess import CalledProcessError
from typing import Any

import torch
from torch import Tensor

from bsconv_nas.train.fast_depthwise import Pair, is_depthwise

_log = logging.getLogger(__name__)

_PIXELS, _CHANNELS = 64, 32  # values that a program holds at a time
_CHUNK = 512  # pixels over which one program adds up a gradient of the weights


def is_square(images: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> bool:
    """Whether a convolution is one that `GpuDepthwise` does: depthwise and alike in both directions."""
    alike = all(pair[0] == pair[1] for pair in (weight.shape[2:], stride, padding))
    return alike and is_depthwise(images, weight, dilation, groups)


@cache
def compiles(device: torch.device) -> bool:
    """Whether Triton is installed and can compile on this machine; tried once."""
    if importlib.util.find_spec("triton") is None:
        return False
    from triton.errors import TritonError

    try:
        GpuDepthwise.apply(torch.zeros(1, 2, 3, 3, device=device), torch.zeros(2, 1, 3, 3, device=device), 1, 1)
    except (TritonError, RuntimeError, OSError, CalledProcessError) as error:
        _log.warning("depthwise convolutions stay with cuDNN, whose first steps take longer: %s", error)
        return False
    return True


class GpuDepthwise(torch.autograd.Function):
    """`conv2d(images, weight, None, stride, padding, groups=C)` for images (N, C, H, W) and weight (C, 1, k, k).

    The result has the type of the images and channels last; sums are taken in float32.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        images = images.contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(images, weight)
        ctx.stride, ctx.padding = stride, padding
        rows, columns = ((size + 2 * padding - weight.shape[2]) // stride + 1 for size in images.shape[2:])
        result = _empty(images, rows, columns)
        _convolve(images, weight, result, stride, padding, transposed=False)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        images, weight = ctx.saved_tensors
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        of_images = of_weight = None
        if ctx.needs_input_grad[0]:
            of_images = _empty(images, *images.shape[2:])
            _convolve(gradient, weight, of_images, ctx.stride, ctx.padding, transposed=True)
        if ctx.needs_input_grad[1]:
            of_weight = _weight_gradient(images, gradient, weight, ctx.stride, ctx.padding)
        return of_images, of_weight, None, None


def _empty(like: Tensor, rows: int, columns: int) -> Tensor:
    size = (like.shape[0], like.shape[1], rows, columns)
    return torch.empty(size, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)


def _convolve(source: Tensor, weight: Tensor, target: Tensor, stride: int, padding: int, transposed: bool) -> None:
    count, channels, rows, columns = target.shape
    pixels = count * rows * columns
    taps = weight.flatten(1).T.contiguous()
    grid = (-(-pixels // _PIXELS), -(-channels // _CHANNELS))
    sizes = (pixels, channels, *source.shape[2:], rows, columns, padding)
    _kernels().convolve[grid](source, taps, target, *sizes, weight.shape[2], stride, transposed, _PIXELS, _CHANNELS)


def _weight_gradient(images: Tensor, gradient: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    count, channels, rows, columns = gradient.shape
    pixels, taps = count * rows * columns, weight.shape[2] ** 2
    chunks = -(-pixels // _CHUNK)
    parts = torch.empty(chunks, taps, channels, device=images.device)
    grid = (chunks * taps, -(-channels // _CHANNELS))
    sizes = (pixels, channels, *images.shape[2:], rows, columns, padding)
    _kernels().correlate[grid](images, gradient, parts, *sizes, weight.shape[2], stride, _CHUNK, _PIXELS, _CHANNELS)
    return parts.sum(0).T.reshape(weight.shape).to(weight.dtype)


def _kernels() -> Any:
    """Imported late: CPUs do without Triton."""
    from bsconv_nas.train import gpu_kernels

    return gpu_kernels
