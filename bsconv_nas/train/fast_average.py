"""The average of each channel, with a gradient in the layout of the images.

That of `mean` is one value per channel, spread out without memory of its own. Layers before it then run in a mixed
layout: the gradient of a normalisation of 1280 channels of 4x4 pixels takes 24 ms instead of 2 (one core of an AMD
EPYC (Zen 4), batch 128).
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d


class GlobalAverage(torch.autograd.Function):
    """Maps images (N, C, H, W) to (N, C, 1, 1)."""

    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        ctx.shape = images.shape
        return avg_pool2d(images, tuple(images.shape[2:]))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        area = ctx.shape[2] * ctx.shape[3]
        return (gradients[0] / area).expand(ctx.shape).contiguous(memory_format=torch.channels_last)
