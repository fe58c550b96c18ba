"""Where images are while networks train on them: on the training device, or in host memory where they do not fit."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class TensorData:
    """Images uint8 (N, H, W, C) and labels int64 (N,) of the training and the validation part.

    Labels are on the device that trains; images are there too, or in host memory, from where batches are sent.
    """

    train_images: Tensor
    train_labels: Tensor
    val_images: Tensor
    val_labels: Tensor

    @property
    def device(self) -> torch.device:
        """The device that trains."""
        return self.train_labels.device


def place(arrays: Sequence[np.ndarray], device: str, share: float = 1.0) -> TensorData:
    """Tensors for training on `device`, of which this process may use a share in (0, 1].

    `arrays` are images and labels of the training part, then of the validation part.
    """
    train_images, train_labels, val_images, val_labels = map(shared_tensor, arrays)
    home = torch.device(device)
    if home.type == "cuda" and fits(sum(array.nbytes for array in arrays), *torch.cuda.mem_get_info(home), share):
        train_images, val_images = train_images.to(home), val_images.to(home)
    return TensorData(train_images, train_labels.to(home), val_images, val_labels.to(home))


def fits(data_bytes: int, free: int, total: int, share: float) -> bool:
    """Whether data may stay on a GPU: it leaves half of the free memory, and of this process's share, to training."""
    return 2 * data_bytes <= min(free, total * share)


def send(batch: Tensor, device: torch.device) -> Tensor:
    """A batch of images on the training device; to a GPU it travels while the GPU still works on the last one."""
    if batch.device == device:
        return batch
    return (batch.pin_memory() if device.type == "cuda" else batch).to(device, non_blocking=True)


def shared_tensor(array: np.ndarray) -> Tensor:
    """A tensor over the memory of an array; of a memory map it is a plain view."""
    with warnings.catch_warnings():
        # Shared arrays are read-only and torch warns about that; nothing here writes to them.
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(np.asarray(array))
