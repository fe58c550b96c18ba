"""Depthwise convolutions whose gradients are fast on CPUs: same results, other routes through the library.

Three cases of the stock gradients are slow beyond reason, measured on one core of an AMD EPYC (Zen 4), batch 128:
the input's gradient with a stride in bfloat16 (64 channels, 32 px: 110 ms, here 4), the weight's of kernels above 3x3
(5x5, 64 channels, 16 px: 17 ms in float32 and 51 in bfloat16, here 8 and 7), and the latter again in large images.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

_CHUNK_BYTES = 2 * 2**20  # images taken at a time for the gradient of large kernels: about a level-2 cache
_ONES = [1, 1]
_NO_PADDING = [0, 0]

Pair = tuple[int, int]


def is_depthwise(images: Tensor, weight: Tensor, dilation: Pair, groups: int) -> bool:
    """Whether a convolution of images (N, C, H, W) has one filter for each channel, without gaps."""
    return (
        groups > 1 and images.ndim == 4 and groups == images.shape[1] == weight.shape[0] and tuple(dilation) == (1, 1)
    )


def is_slow(images: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> bool:
    """Whether a convolution is a depthwise one of those whose stock gradients are slow."""
    large = min(weight.shape[2:]) >= 3 and max(weight.shape[2:]) > 3
    return is_depthwise(images, weight, dilation, groups) and (large or max(stride) > 1)


class Depthwise(torch.autograd.Function):
    """`conv2d(images, weight, None, stride, padding, groups=channels)` for images (N, C, H, W), weight (C, 1, k, k)."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, stride: Pair, padding: Pair) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.stride, ctx.padding = list(stride), list(padding)
        return _convolution(images, weight, ctx.stride, ctx.padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        images, weight = ctx.saved_tensors
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        of_images, of_weight, *_ = ctx.needs_input_grad
        return (
            _image_gradient(gradient, images, weight, ctx.stride, ctx.padding) if of_images else None,
            _weight_gradient(gradient, images, weight, ctx.stride, ctx.padding) if of_weight else None,
            None,
            None,
        )


def _image_gradient(gradient: Tensor, images: Tensor, weight: Tensor, stride: list[int], padding: list[int]) -> Tensor:
    """The transposed convolution, as a plain one of the gradient with zeros between its pixels."""
    if max(stride) == 1:
        return _stock_gradients(gradient, images, weight, stride, padding, [True, False])[0]
    count, channels, height, width = images.shape
    kernel = weight.shape[2:]
    rows, columns = (n + 2 * p - k + 1 for n, p, k in zip((height, width), padding, kernel, strict=True))
    spread = gradient.new_zeros(count, rows, columns, channels).permute(0, 3, 1, 2)
    spread[:, :, :: stride[0], :: stride[1]] = gradient
    border = [k - 1 - p for k, p in zip(kernel, padding, strict=True)]
    return _convolution(spread, weight.flip(2, 3), _ONES, border)


def _weight_gradient(gradient: Tensor, images: Tensor, weight: Tensor, stride: list[int], padding: list[int]) -> Tensor:
    """Gradient of a large kernel, put together from those of its 3x3 windows, a few images at a time."""
    if max(weight.shape[2:]) <= 3:
        return _stock_gradients(gradient, images, weight, stride, padding, [False, True])[1]
    rows = max(1, _CHUNK_BYTES // (images[0].numel() * images.element_size()))
    total = torch.zeros(weight.shape, device=weight.device, dtype=torch.promote_types(weight.dtype, torch.float32))
    for batch, batch_gradient in zip(images.split(rows), gradient.split(rows), strict=True):
        total += _windows_gradient(batch_gradient, batch, weight, stride, padding)
    return total.to(weight.dtype)


def _windows_gradient(
    gradient: Tensor, images: Tensor, weight: Tensor, stride: list[int], padding: list[int]
) -> Tensor:
    result = torch.empty_like(weight)
    down, across = padding
    padded = pad(images.permute(0, 2, 3, 1), (0, 0, across, across, down, down))
    reach = [(n - 1) * s + 3 for n, s in zip(gradient.shape[2:], stride, strict=True)]
    window = weight[:, :, :3, :3].contiguous()
    for y in _window_starts(weight.shape[2]):
        for x in _window_starts(weight.shape[3]):
            part = padded[:, y : y + reach[0], x : x + reach[1]].contiguous().permute(0, 3, 1, 2)
            result[:, :, y : y + 3, x : x + 3] = _stock_gradients(
                gradient, part, window, stride, _NO_PADDING, [False, True]
            )[1]
    return result


def _window_starts(size: int) -> list[int]:
    """Where windows of 3 start that cover `size`; the last may overlap the one before."""
    return [*range(0, size - 3, 3), size - 3]


def _convolution(images: Tensor, weight: Tensor, stride: list[int], padding: list[int]) -> Tensor:
    return torch.ops.aten.convolution(images, weight, None, stride, padding, _ONES, False, _NO_PADDING, images.shape[1])


def _stock_gradients(
    gradient: Tensor, images: Tensor, weight: Tensor, stride: list[int], padding: list[int], wanted: list[bool]
) -> tuple[Tensor, Tensor]:
    channels = images.shape[1]
    of_images, of_weight, _ = torch.ops.aten.convolution_backward(
        gradient, images, weight, None, stride, padding, _ONES, False, _NO_PADDING, channels, [*wanted, False]
    )
    return of_images, of_weight
