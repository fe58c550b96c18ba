"""The images that an export uses: to compare outputs, to calibrate 8-bit ranges, and to measure accuracy."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bsconv_nas.data import ImageData

_CHECKED = 4
_CALIBRATION = 256
_MEASURED = 2000


@dataclass(frozen=True, slots=True)
class ExportImages:
    """Images uint8 (N, H, W, C). Without data, `check` is random and the others are None."""

    check: Tensor
    calibration: Tensor | None = None
    measured: Tensor | None = None
    labels: Tensor | None = None


def export_images(data: ImageData | None, image_size: tuple[int, int], channels: int) -> ExportImages:
    """Up to 256 validation images, at most half of them, to calibrate on; up to 2000 of the others to measure on."""
    if data is None:
        generator = torch.Generator().manual_seed(0)
        shape = (_CHECKED, *image_size, channels)
        return ExportImages(torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8))
    count = len(data.val_images)
    spread = np.unique(np.linspace(0, count - 1, min(_CALIBRATION, max(1, count // 2))).astype(int))
    others = np.setdiff1d(np.arange(count), spread)
    measured = others[:: max(1, -(-len(others) // _MEASURED))]
    check = np.resize(np.linspace(0, count - 1, _CHECKED).astype(int), _CHECKED)
    return ExportImages(
        check=torch.from_numpy(data.val_images[check]),
        calibration=torch.from_numpy(data.val_images[spread]),
        measured=torch.from_numpy(data.val_images[measured]),
        labels=torch.from_numpy(data.val_labels[measured]),
    )
