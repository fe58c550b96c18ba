"""Clamping in place without the copy that torch keeps for the gradient: the result tells as much as the input."""

from typing import Any

import torch
from torch import Tensor


class ClampInPlace(torch.autograd.Function):
    """`hardtanh_(values, low, high)`; ReLU6 is the one from 0 to 6."""

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
