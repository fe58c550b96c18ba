"""The nearest blueprint separable convolution to trained weights.

A filter W_n is a matrix (M, K) of input channels by kernel positions. A blueprint convolution can only hold
W_n = a_n b_n^T: the pointwise row a_n and the depthwise kernel b_n (CVPR 2020, section 3.1). Its nearest such matrix
is the first term of the singular value decomposition, filter by filter. For BSConv-S all a_n must also lie in one
subspace of M' dimensions (section 3.2), whose orthonormal basis is the first pointwise.
"""

import torch
from torch import Tensor, nn

from bsconv_nas.nn.bsconv import BSConvS, BSConvU

# Each round can only lower the error. On random 3x3 weights, the worst case, rounds 3 to 50 gain less than 0.2 %.
_ROUNDS = 3


@torch.no_grad()
def fit_bsconv_u(target: BSConvU, conv: nn.Conv2d) -> float:
    """Give `target` the weights nearest to those of `conv`; returns the relative error ||W - W'|| / ||W||."""
    filters = _filters(conv)
    rows, kernels = _rank_one(filters)
    pointwise, depthwise = _balanced(rows, kernels)
    _copy(target.get_submodule("pw"), pointwise)
    _finish(target, depthwise, conv)
    return _relative_error(filters, rows, kernels)


@torch.no_grad()
def fit_bsconv_s(target: BSConvS, conv: nn.Conv2d) -> float:
    """Give `target` the weights nearest to those of `conv`, its first pointwise with orthonormal rows.

    The basis starts from the top M' right singular vectors of the rank-one rows; then rows and basis are refitted to
    each other in turn.

    Returns:
        The relative error ||W - W'|| / ||W||.
    """
    filters = _filters(conv)
    mid = target.orthonormal_weight().shape[0]
    _, kernels = _rank_one(filters)
    basis, rows = filters.new_zeros(()), filters.new_zeros(())
    for _ in range(_ROUNDS):
        basis = _top_right_singular_vectors((filters @ kernels[:, :, None])[:, :, 0], mid)
        rows, kernels = _rank_one(basis @ filters)
    pointwise, depthwise = _balanced(rows, kernels)
    _copy(target.get_submodule("pw1"), basis)
    _copy(target.get_submodule("pw2"), pointwise)
    _finish(target, depthwise, conv)
    return _relative_error(filters, rows @ basis, kernels)


def _filters(conv: nn.Conv2d) -> Tensor:
    """(N, M, K) in float64 on the CPU, where all devices agree."""
    return conv.weight.detach().to("cpu", torch.float64).flatten(2)


def _rank_one(filters: Tensor) -> tuple[Tensor, Tensor]:
    """Rows (N, M) and unit kernels (N, K) with the nearest row * kernel^T for each filter (N, M, K)."""
    # From the small Gram matrices (K, K): seven times faster than one SVD per filter for a 512x512x3x3 layer.
    kernels = torch.linalg.eigh(filters.transpose(1, 2) @ filters)[1][:, :, -1]
    return (filters @ kernels[:, :, None])[:, :, 0], kernels


def _top_right_singular_vectors(matrix: Tensor, count: int) -> Tensor:
    """(count, M) orthonormal rows; beyond the rank of `matrix` (N, M) they complete the basis."""
    return torch.linalg.svd(matrix, full_matrices=count > min(matrix.shape))[2][:count]


def _balanced(rows: Tensor, kernels: Tensor) -> tuple[Tensor, Tensor]:
    """The same products with equal norms on both sides, so that both convolutions learn at the same pace."""
    scale = rows.norm(dim=1, keepdim=True).sqrt()
    return torch.where(scale > 0, rows / scale, rows), kernels * scale


def _relative_error(filters: Tensor, rows: Tensor, kernels: Tensor) -> float:
    norm = filters.norm()
    return float((filters - rows[:, :, None] * kernels[:, None, :]).norm() / norm) if norm > 0 else 0.0


def _copy(conv: nn.Module, weight: Tensor) -> None:
    assert isinstance(conv, nn.Conv2d)
    conv.weight.copy_(weight.reshape(conv.weight.shape))


def _finish(target: nn.Module, depthwise: Tensor, conv: nn.Conv2d) -> None:
    new = target.get_submodule("dw")
    _copy(new, depthwise)
    assert isinstance(new, nn.Conv2d)
    if new.bias is not None and conv.bias is not None:
        new.bias.copy_(conv.bias)
