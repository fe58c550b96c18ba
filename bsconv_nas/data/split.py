"""Fixed, stratified splits that depend on the names of images only, not on file order, seed or machine.

Within a class, images are ranked by a hash of their name and the lowest ranks are taken. So adding images moves
hardly any of the others across a split.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bsconv_nas.base.text import listed
from bsconv_nas.data.images import Labels
from bsconv_nas.errors import DataError

TEST_SHARE = 0.2
_SMALL_TRAIN_PART = 20_000
_MIN_PER_CLASS = 2

Mask = NDArray[np.bool_]


def validation_mask(names: Sequence[str], labels: Labels, classes: Sequence[str]) -> Mask:
    """True for the images of a train part that are held out: 20 % below 20 000 images, else 10 %.

    Args:
        names: one unique name for each image.
        labels: int64 (N,).

    Returns:
        bool (N,), with at least one image of each class on both sides.

    Raises:
        DataError: a class with fewer than two images.
    """
    counts = np.bincount(labels, minlength=len(classes))
    small = [f"{name!r} has {count}" for name, count in zip(classes, counts, strict=True) if count < _MIN_PER_CLASS]
    if small:
        raise DataError(
            f"too few readable training images: class {listed(small)}; at least {_MIN_PER_CLASS} are needed "
            "(one to train on, one to hold out); add images or remove the class"
        )
    share = 0.2 if len(names) < _SMALL_TRAIN_PART else 0.1
    return _lowest("validation", names, labels, np.maximum(1, _share_of(counts, share)))


def test_mask(names: Sequence[str], labels: Labels) -> Mask:
    """True for the images that a data set without a test part of its own sets aside for it: 20 % of each class.

    A class with fewer than three images gives none, so that two stay for training and validation.
    """
    counts = np.bincount(labels)
    return _lowest("test", names, labels, np.where(counts < 3, 0, np.maximum(1, _share_of(counts, TEST_SHARE))))


test_mask.__test__ = False  # type: ignore[attr-defined]  # tells pytest that this is no test


def _share_of(counts: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    return np.floor(counts * share + 0.5).astype(np.int64)


def _lowest(salt: str, names: Sequence[str], labels: Labels, take: NDArray[np.int64]) -> Mask:
    """The `take[c]` images of each class c with the lowest hash of salt and name."""
    ranks = np.fromiter((_rank(f"{salt}:{name}") for name in names), dtype=np.uint64, count=len(names))
    order = np.lexsort((ranks, labels))
    starts = np.searchsorted(labels[order], np.arange(len(take)))
    position_in_class = np.arange(len(names)) - starts[labels[order]]
    mask = np.zeros(len(names), dtype=np.bool_)
    mask[order] = position_in_class < take[labels[order]]
    return mask


def _rank(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()[:8])
