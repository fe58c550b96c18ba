"""scikit-learn's handwritten digits: 1797 images of 8 x 8 pixels that need no download.

Small enough (0.35 MB) to be held in memory by each process instead of in the cache.
"""

import hashlib
from typing import Any

import numpy as np
from PIL import Image

from bsconv_nas.data.decode import square
from bsconv_nas.data.images import ImageData, Images, Labels, TestData, image_data
from bsconv_nas.data.options import LoadOptions
from bsconv_nas.data.split import test_mask, validation_mask

_CLASSES = tuple("0123456789")
_MAX_VALUE = 16


def load_digits(source: str, options: LoadOptions) -> ImageData:
    """Load training and validation images; 20 % of each class, the test part, are left out."""
    images, labels, names = _read(options.image_size)
    train_part = np.flatnonzero(~test_mask(names, labels))
    held_out = validation_mask([names[row] for row in train_part], labels[train_part], _CLASSES)
    order = np.concatenate([train_part[~held_out], train_part[held_out]])
    images, labels = images[order], labels[order]
    sha256 = hashlib.sha256(images.data).hexdigest()
    return image_data(source, images, labels, int(np.count_nonzero(~held_out)), _CLASSES, sha256)


def load_digits_test(source: str, options: LoadOptions) -> TestData:
    """Load the 20 % of each class that `load_digits` leaves out."""
    images, labels, names = _read(options.image_size)
    mask = test_mask(names, labels)
    images, labels = images[mask], labels[mask]
    images.flags.writeable = False
    labels.flags.writeable = False
    return TestData(images, labels, _CLASSES)


def _read(image_size: int | None) -> tuple[Images, Labels, list[str]]:
    from sklearn import datasets  # Takes a second to import, and only this data set needs it.

    digits: Any = datasets.load_digits()
    grey = np.rint(digits.images * (255 / _MAX_VALUE)).astype(np.uint8)
    if image_size is not None:
        grey = np.stack([np.asarray(square(Image.fromarray(digit), image_size)) for digit in grey])
    images = np.repeat(grey[..., None], 3, axis=3)
    labels = np.asarray(digits.target, dtype=np.int64)
    return images, labels, [f"{row:04d}" for row in range(len(images))]
