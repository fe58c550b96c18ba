"""Rows of decoded pixels for a list of image files: from the cache, or decoded into it."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bsconv_nas.base.text import listed
from bsconv_nas.data.cache import ArrayFile, CacheEntry, cache_key, read_entry
from bsconv_nas.data.decode_all import batch_rows, decode_all
from bsconv_nas.data.images import ImageData, Images, TestData, image_data
from bsconv_nas.data.listing import ImageFile, labels_of
from bsconv_nas.data.options import LoadOptions
from bsconv_nas.errors import DataError

_log = logging.getLogger(__name__)


class Plan(NamedTuple):
    """Files in the order of their rows, the first `train_count` of them for training."""

    files: list[ImageFile]
    train_count: int


class Rows(NamedTuple):
    """Pixels uint8 (N, H, W, 3) of `files`, the hash of their bytes, and how many files were left out."""

    images: Images
    files: list[ImageFile]
    train_count: int
    sha256: str
    skipped: int

    def image_data(self, name: str, classes: tuple[str, ...]) -> ImageData:
        """The rows as a train part with its hold-out."""
        labels = labels_of(self.files)
        return image_data(name, self.images, labels, self.train_count, classes, self.sha256, self.skipped)

    def test_data(self, classes: tuple[str, ...]) -> TestData:
        """The rows as a test part."""
        labels = labels_of(self.files)
        labels.flags.writeable = False
        return TestData(self.images, labels, classes, self.skipped)


Planner = Callable[[list[ImageFile]], Plan]


def load_rows(root: Path, files: list[ImageFile], planner: Planner, image_size: int, options: LoadOptions) -> Rows:
    """Rows of the files that can be read, as `planner` orders them.

    Unreadable files are remembered in the cache, so that saying "skip them" after the refusal costs no second decoding.

    Raises:
        DataError: unreadable files and not `skip_bad_images`, or what `planner` raises.
        StorageError: the cache folder cannot be written, or is full.
    """
    plan = planner(files)
    key = cache_key(root, ((file.path, file.size, file.mtime_ns) for file in plan.files), image_size)
    entry = read_entry(options.cache_folder, key)
    if entry is None or _some_readable_now(root, entry, image_size):
        entry = _decode(root, plan.files, planner, image_size, key, options)
    bad: Mapping[str, str] = entry.info["bad"]
    if bad:
        _report(root, bad, len(files), options)
        plan = planner([file for file in files if file.path not in bad])
    return Rows(entry.images, plan.files, plan.train_count, entry.sha256, len(bad))


def _decode(
    root: Path, files: Sequence[ImageFile], planner: Planner, image_size: int, key: str, options: LoadOptions
) -> CacheEntry:
    paths = [os.path.join(root, file.path) if file.size >= 0 else None for file in files]
    with ArrayFile(options.cache_folder, key, len(files), image_size) as array:
        bad_rows = decode_all(paths, image_size, array.write, options.progress)
        bad = {files[row].path: reason for row, reason in bad_rows.items()}
        if bad:
            return _keep_readable(array.written(), files, bad, planner, key, options)
        return array.publish({"bad": bad})


def _keep_readable(
    images: Images, files: Sequence[ImageFile], bad: dict[str, str], planner: Planner, key: str, options: LoadOptions
) -> CacheEntry:
    """Publish the rows of readable files only, in their new order: without some files, the split can be another."""
    good = [file for file in files if file.path not in bad]
    try:
        plan = planner(good)
    except DataError as error:
        raise DataError(f"{error}; {_count(len(bad), len(files))}: {_named(bad)}") from error
    row_of = {file.path: row for row, file in enumerate(files)}
    order = [row_of[file.path] for file in plan.files]
    image_size = images.shape[1]
    step = batch_rows(image_size)
    with ArrayFile(options.cache_folder, key, len(order), image_size) as array:
        for start in range(0, len(order), step):
            array.write(images[order[start : start + step]])
        return array.publish({"bad": bad})


def _some_readable_now(root: Path, entry: CacheEntry, image_size: int) -> bool:
    """True if a file noted as unreadable is not: rights or a network drive may have been the reason."""
    paths = [os.path.join(root, path) for path in entry.info["bad"]]
    files = [path if os.path.isfile(path) else None for path in paths]
    return len(decode_all(files, image_size, _forget, None)) < len(files)


def _forget(images: Images) -> None:
    """Where only the errors matter."""


def _report(root: Path, bad: Mapping[str, str], total: int, options: LoadOptions) -> None:
    """Refuse unreadable images, or log them."""
    problem = f"{_count(len(bad), total)} in {str(root)!r}: {_named(bad)}"
    if not options.skip_bad_images:
        raise DataError(f"{problem}; repair or remove them, or skip them with --skip-bad-images")
    _log.warning("skipped %s", problem)


def _count(bad: int, total: int) -> str:
    return f"{bad} of {total} images cannot be read"


def _named(bad: Mapping[str, str]) -> str:
    return listed([f"{path} ({reason})" for path, reason in sorted(bad.items())])
