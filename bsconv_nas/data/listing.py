"""Image files below class folders, in an order that the file system has no part in."""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bsconv_nas.data.decode import SUFFIXES
from bsconv_nas.data.images import Labels
from bsconv_nas.data.naming import listed, printable
from bsconv_nas.errors import DataError

_Inode = tuple[int, int]


class ImageFile(NamedTuple):
    """An image file: path relative to the root, index of its class, bytes, modification time in ns.

    `size` is -1 for what is named like an image but is no regular file (broken link, pipe).
    """

    path: str
    label: int
    size: int
    mtime_ns: int


def visible_folders(folder: Path) -> list[str]:
    """Sorted names of the folders in a folder; links count, names with a leading dot do not.

    Raises:
        DataError: missing, not a folder, or not readable.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if not entry.name.startswith(".") and _is_folder(entry))
    except OSError as error:
        raise _cannot_list(folder, error) from error


def list_images(root: Path, part: str, labels: Mapping[str, int]) -> list[ImageFile]:
    """All images of class folders in `root/part`, by class and then by path, nested folders included.

    `labels` gives the class folders and their labels.

    Folders reached by links are followed, once on each way down, so that loops of links end.

    Raises:
        DataError: a class folder without any image, or one that cannot be read.
    """
    base = root / part
    prefix = "" if part == "." else f"{part}/"
    above = frozenset({_inode(os.stat(root)), _inode(os.stat(base))})
    files: list[ImageFile] = []
    empty: list[str] = []
    for name, label in labels.items():
        found = sorted(_walk(base / name, prefix + name, label, above))
        if not found:
            empty.append(name)
        files.extend(found)
    if empty:
        raise DataError(
            f"no images in class folder {listed(empty)} of {str(base)!r}; add images ({_known_suffixes()}) "
            "or remove the folder"
        )
    return files


def image_file(entry: os.DirEntry[str] | Path, path: str, label: int) -> ImageFile:
    """The image at `entry`, called `path`."""
    try:
        status = entry.stat()
    except OSError:
        return ImageFile(path, label, -1, 0)
    if not stat.S_ISREG(status.st_mode):
        return ImageFile(path, label, -1, 0)
    return ImageFile(path, label, status.st_size, status.st_mtime_ns)


def labels_of(files: Sequence[ImageFile]) -> Labels:
    """Labels int64 (N,) of the files."""
    return np.fromiter((file.label for file in files), dtype=np.int64, count=len(files))


def _walk(folder: Path, relative: str, label: int, above: frozenset[_Inode]) -> Iterator[ImageFile]:
    try:
        inode = _inode(os.stat(folder))
        if inode in above:
            return
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith("."):
                    continue
                if os.path.splitext(name)[1].lower() in SUFFIXES and not _is_folder(entry):
                    yield image_file(entry, f"{relative}/{name}", label)
                elif _is_folder(entry):
                    yield from _walk(folder / name, f"{relative}/{name}", label, above | {inode})
    except OSError as error:
        raise _cannot_list(folder, error) from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # A link to itself.
        return False


def _inode(status: os.stat_result) -> _Inode:
    return status.st_dev, status.st_ino


def _known_suffixes() -> str:
    return " ".join(sorted(suffix[1:] for suffix in SUFFIXES))


def _cannot_list(folder: Path, error: OSError) -> DataError:
    name = printable(str(folder))
    return DataError(f"cannot read the image folder '{name}': {error.strerror or error}; check the path and its rights")
