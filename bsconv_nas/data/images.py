"""Image data as values: the train part with its hold-out, and the test part."""

import hashlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bsconv_nas.base.files import canonical_json

_CHUNK_BYTES = 16 * 2**20
# Enough for four digits of a mean; an exact pass over 1.3 million images would cost every worker a minute.
_MAX_STATISTICS_IMAGES = 50_000

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
Channels = tuple[float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class ImageData:
    """What a search may see: the train part, a fixed share of it held out for validation. All arrays are read-only.

    Processes should each call `load_search_data` rather than send this value to each other: the arrays are memory
    maps of one file, so all processes of a machine share one copy.

    Args:
        name: `digits`, `cifar10`, ... or the path of the folder.
        train_images: uint8 (N, H, W, 3), RGB.
        train_labels: int64 (N,), indices into `classes`.
        val_images: uint8 (M, H, W, 3), RGB.
        val_labels: int64 (M,).
        classes: names of the classes, in the order of the labels.
        fingerprint: 16 hex digits, equal when pixels, labels, class names, image size and split are equal.
        skipped: images left out because they could not be read.
    """

    name: str
    train_images: Images = field(repr=False)
    train_labels: Labels = field(repr=False)
    val_images: Images = field(repr=False)
    val_labels: Labels = field(repr=False)
    classes: tuple[str, ...]
    fingerprint: str
    skipped: int = 0

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.train_images.shape[1], self.train_images.shape[2]

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def nbytes(self) -> int:
        """Bytes of all images and labels."""
        arrays = (self.train_images, self.train_labels, self.val_images, self.val_labels)
        return sum(array.nbytes for array in arrays)

    def statistics(self) -> tuple[Channels, Channels]:
        """Mean and standard deviation of each channel of the training images, with pixels in [0, 1].

        Above 50 000 images an even sample of them is used. The deviation is at least 1/255, so dividing is safe.
        """
        images = self.train_images
        step = -(-len(images) // _MAX_STATISTICS_IMAGES)
        rows = step * max(1, _CHUNK_BYTES // images[0].nbytes)
        counts = np.zeros((3, 256), dtype=np.int64)
        for start in range(0, len(images), rows):
            pixels = images[start : start + rows : step].reshape(-1, 3)
            for channel in range(3):
                counts[channel] += np.bincount(pixels[:, channel], minlength=256)
        levels = np.arange(256) / 255
        shares = counts / counts.sum(axis=1, keepdims=True)
        mean = shares @ levels
        deviation = np.sqrt((shares * (levels - mean[:, None]) ** 2).sum(axis=1))
        return _channels(mean), _channels(np.maximum(deviation, 1 / 255))


@dataclass(frozen=True, slots=True, eq=False)
class TestData:
    """The test part, for final evaluations only. Arrays are read-only.

    Args:
        images: uint8 (N, H, W, 3), RGB.
        labels: int64 (N,), indices into `classes`.
        classes: the same names in the same order as in `ImageData`.
        skipped: images left out because they could not be read.
    """

    __test__ = False  # tells pytest that this is no test class

    images: Images = field(repr=False)
    labels: Labels = field(repr=False)
    classes: tuple[str, ...]
    skipped: int = 0


def image_data(
    name: str,
    images: Images,
    labels: Labels,
    train_count: int,
    classes: tuple[str, ...],
    images_sha256: str,
    skipped: int = 0,
) -> ImageData:
    """Cut the rows of a train part into training (the first `train_count`) and validation, without copying.

    `images_sha256` is the hash of all pixels in row order.
    """
    content = {
        "images": images_sha256,
        "labels": hashlib.sha256(labels.astype("<i8").tobytes()).hexdigest(),
        "classes": list(classes),
        "image_size": list(images.shape[1:3]),
        "train_count": train_count,
    }
    images.flags.writeable = False
    labels.flags.writeable = False
    return ImageData(
        name=name,
        train_images=images[:train_count],
        train_labels=labels[:train_count],
        val_images=images[train_count:],
        val_labels=labels[train_count:],
        classes=classes,
        fingerprint=hashlib.sha256(canonical_json(content).encode()).hexdigest()[:16],
        skipped=skipped,
    )


def _channels(values: NDArray[np.float64]) -> Channels:
    return float(values[0]), float(values[1]), float(values[2])
