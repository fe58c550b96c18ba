"""Decoded images on disk: `<key>.npy` and `<key>.json`, whole or absent, memory-mapped by every reader.

The JSON file is written last and says what the array must look like, so an array without it is never trusted. Nothing
is ever changed in place; the folder may be deleted at any time.
"""

import errno
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from bsconv_nas.base.files import canonical_json, write_atomic
from bsconv_nas.data.images import Images
from bsconv_nas.errors import StorageError

# Increase this number when decoding, splitting or the file format changes: older entries are then ignored.
FORMAT_VERSION = 1
_STALE_SECONDS = 3600
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, slots=True, eq=False)
class CacheEntry:
    """Rows uint8 (N, H, W, 3) as a read-only memory map, the hash of their bytes, and what the source noted."""

    images: Images
    sha256: str
    info: dict[str, Any]


def cache_key(root: Path, files: Iterable[tuple[str, int, int]], image_size: int) -> str:
    """Key of the rows of these files, in this order: 32 hex digits.

    Args:
        root: their folder; part of the key, since archives often give all files one time, and bitmaps one size.
        files: (path relative to root, bytes, modification time in ns).
    """
    head = f"{FORMAT_VERSION}\0{image_size}\0{root.resolve()}\n"
    text = head + "\n".join(f"{path}\0{size}\0{mtime}" for path, size, mtime in files)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def read_entry(folder: Path, key: str) -> CacheEntry | None:
    """The entry, or None if it is missing, incomplete or damaged."""
    try:
        meta = json.loads((folder / f"{key}.json").read_bytes())
        images = np.load(folder / f"{key}.npy", mmap_mode="r", allow_pickle=False)
        if images.dtype != np.uint8 or list(images.shape) != meta["shape"]:
            return None
        return CacheEntry(images, meta["sha256"], meta["info"])
    except (OSError, ValueError, EOFError, LookupError, TypeError):
        return None


class ArrayFile:
    """Rows written one after the other under a temporary name; `publish` makes them an entry.

    A context manager: what is not published is removed on leaving.

    Raises:
        StorageError: the folder cannot be written, or the disk is full (found out before the first row).
    """

    def __init__(self, folder: Path, key: str, count: int, image_size: int) -> None:
        self._folder = folder
        self._key = key
        self._shape = (count, image_size, image_size, 3)
        self._hash = hashlib.sha256()
        self._stream: IO[bytes]
        self._temporary: Path | None = None

    def __enter__(self) -> Self:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._remove_stale()
            handle, name = tempfile.mkstemp(dir=self._folder, prefix=f".{self._key}.", suffix=".tmp")
            self._stream = os.fdopen(handle, "wb")
            self._temporary = Path(name)
            header = {"descr": "|u1", "fortran_order": False, "shape": self._shape}
            np.lib.format.write_array_header_1_0(self._stream, header)
            self._reserve()
        except OSError as error:
            self._discard()
            raise self._storage_error(error) from error
        return self

    def write(self, rows: Images) -> None:
        """Append rows (n, H, W, 3)."""
        data = np.ascontiguousarray(rows).data
        self._hash.update(data)
        try:
            self._stream.write(data)
        except OSError as error:
            raise self._storage_error(error) from error

    def written(self) -> Images:
        """A read-only memory map of the rows, once all of them are written."""
        try:
            self._stream.flush()
        except OSError as error:
            raise self._storage_error(error) from error
        assert self._temporary is not None
        return np.load(self._temporary, mmap_mode="r", allow_pickle=False)

    def publish(self, info: dict[str, Any]) -> CacheEntry:
        """Make the rows and `info` (plain data) the entry of the key, and open it."""
        assert self._temporary is not None
        target = self._folder / f"{self._key}.npy"
        try:
            self._stream.flush()
            os.fsync(self._stream.fileno())
            os.replace(self._temporary, target)
        except OSError as error:
            raise self._storage_error(error) from error
        meta = {"shape": list(self._shape), "sha256": self._hash.hexdigest(), "info": info}
        write_atomic(self._folder / f"{self._key}.json", canonical_json(meta))
        entry = read_entry(self._folder, self._key)
        if entry is None:
            raise StorageError(f"decoded images vanished from {self._folder}; run the same command again")
        return entry

    def __exit__(self, *_: object):
        self._discard()

    def _discard(self) -> None:
        if self._temporary is None:
            return
        with suppress(OSError):  # On a full disk, closing writes the buffer and fails again.
            self._stream.close()
        with suppress(OSError):
            self._temporary.unlink(missing_ok=True)

    def _reserve(self) -> None:
        """Take the room now: better no room before the decoding than after minutes of it."""
        self._stream.flush()
        try:
            os.posix_fallocate(self._stream.fileno(), 0, self._stream.tell() + int(np.prod(self._shape)))
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise  # otherwise the file system cannot reserve space, and writing shows whether it fits

    def _remove_stale(self) -> None:
        """Remove what a killed process left of this key. A living one writes all the time."""
        for path in self._folder.glob(f".{self._key}.*.tmp"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                    path.unlink()

    def _storage_error(self, error: OSError) -> StorageError:
        return StorageError(
            f"cannot write decoded images to {self._folder}: {error.strerror or error}; make room or choose another "
            "cache folder, then run the same command again: what is stored is kept"
        )
