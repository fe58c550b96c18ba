"""Image files below class folders, in an order that the file system has no part in."""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bsconv_nas.base.text import listed, printable
from bsconv_nas.data.decode import SUFFIXES
from bsconv_nas.data.images import Labels
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

    Links to folders are followed, and each folder is read once in each class, however many links lead there: loops
    end, and folders that link to each other do not multiply.

    Raises:
        DataError: a class folder without any image, or one that cannot be read.
    """
    base = root / part
    prefix = "" if part == "." else f"{part}/"
    above = frozenset({_inode(os.stat(root)), _inode(os.stat(base))})
    files: list[ImageFile] = []
    empty: list[str] = []
    for name, label in labels.items():
        images = sorted(_walk(base / name, prefix + name, label, above))
        if not images:
            empty.append(name)
        files.extend(images)
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


def _walk(top: Path, name: str, label: int, above: frozenset[_Inode]) -> Iterator[ImageFile]:
    # No recursion: folders may be deeper than Python's stack. Sorted, so that of two ways to a folder always the same
    # one is taken.
    seen, waiting = set(above), [(top, name)]
    while waiting:
        folder, relative = waiting.pop()
        try:
            inode = _inode(os.stat(folder))
            if inode in seen:
                continue
            seen.add(inode)
            with os.scandir(folder) as entries:
                shown = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda e: e.name)
        except OSError as error:
            raise _cannot_list(folder, error) from error
        for entry in shown:
            path = f"{relative}/{entry.name}"
            if _is_folder(entry):
                waiting.append((folder / entry.name, path))
            elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:
                yield image_file(entry, path, label)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # A symbolic link that leads back to itself.
        return False


def _inode(status: os.stat_result) -> _Inode:
    return status.st_dev, status.st_ino


def _known_suffixes() -> str:
    return " ".join(sorted(suffix[1:] for suffix in SUFFIXES))


def _cannot_list(folder: Path, error: OSError) -> DataError:
    name = printable(str(folder))
    return DataError(f"cannot read the image folder '{name}': {error.strerror or error}; check the path and its rights")
