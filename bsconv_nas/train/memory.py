"""Memory of trainings: a batch that does not fit is taken in parts, and freed blocks are kept for the next step."""

import ctypes
import platform
from collections.abc import Callable

import torch
from torch import Tensor, nn

from bsconv_nas.errors import TrainingError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
_LARGEST_MMAP_THRESHOLD = 2**25  # HEAP_MAX_SIZE / 2, what older releases allow
_LEAST_PART = 2  # batch normalisation of one image is undefined where it has one pixel left


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch could not allocate memory, on a GPU or on the CPU."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def backward_in_parts(
    network: nn.Module, images: Tensor, labels: Tensor, loss_of: Callable[[Tensor, Tensor], Tensor], parts: int
) -> tuple[Tensor, int]:
    """Add the gradients of a batch's mean loss to those of `network`.

    Args:
        network: without gradients.
        images, labels: of the batch.
        loss_of: mean loss of some of them, ready to be differentiated.
        parts: in how many parts to begin; doubled whenever memory runs out.

    Returns:
        The mean loss of the batch, and the number of parts that fitted.

    Raises:
        TrainingError: not even the smallest part fits.
    """
    while True:
        try:
            return _gradients(images, labels, loss_of, parts), parts
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        # Only here, after the exception is gone, nothing holds the tensors of the attempt any more.
        network.zero_grad()
        free_memory(images.device)
        parts *= 2
        if len(images) // parts < _LEAST_PART:
            raise TrainingError(f"out of memory even with {2 * len(images) // parts} images at a time")


def free_memory(device: torch.device) -> None:
    """Give memory that torch keeps for itself back to the GPU, for other trials on it."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _gradients(images: Tensor, labels: Tensor, loss_of: Callable[[Tensor, Tensor], Tensor], parts: int) -> Tensor:
    total = torch.zeros((), device=images.device)
    for part, part_labels in zip(images.tensor_split(parts), labels.tensor_split(parts), strict=True):
        loss = loss_of(part, part_labels) * (len(part) / len(images))
        loss.backward()
        total += loss.detach()
    return total


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed blocks for the next step instead of returning them to the system.

    Each step of a training allocates the same activations anew; without this every one of them is mapped and zeroed
    by the kernel page by page. Returns whether the allocator is glibc's and took the settings.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(
        [
            mallopt(_M_MMAP_THRESHOLD, 2**30) or mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD),
            mallopt(_M_TRIM_THRESHOLD, 2**31 - 1),
        ]
    )
