"""A file from the network: checked by its MD5, whole or absent, continued where a broken transfer ended."""

import fcntl
import hashlib
import http.client
import logging
import os
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from bsconv_nas.errors import DataError, StorageError

_log = logging.getLogger(__name__)

_CHUNK_BYTES = 2**20
_TIMEOUT_SECONDS = 30
_CONTINUED = 206  # "partial content"
_NOTHING_LEFT = 416  # "range not satisfiable": the file has no bytes after those that are here


@dataclass(frozen=True, slots=True)
class Remote:
    """A file on a server, and the MD5 (32 hex digits) of its content."""

    url: str
    md5: str

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]


@contextmanager
def sole_writer(folder: Path) -> Generator[None]:
    """Make a folder and wait until no other process writes to it under this lock.

    Raises:
        StorageError: the folder cannot be written or locked, or the body raised an OSError.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise StorageError(
            f"cannot write to {folder}: {error.strerror or error}; make room or choose another data folder, "
            "then run the same command again: what is stored is kept"
        ) from error


def fetch(remote: Remote, folder: Path) -> Path:
    """Path of the file in the folder, downloaded unless it is there with the right MD5.

    Bytes arrive in `<name>.part`, which gets its name when the MD5 is right. The caller holds `sole_writer(folder)`.

    Raises:
        DataError: no network, a transfer that breaks off, another MD5.
        OSError: the folder cannot be written, or is full.
    """
    target = folder / remote.name
    if target.is_file() and _md5(target) == remote.md5:
        return target
    partial = target.with_name(f"{target.name}.part")
    _download(remote, partial)
    digest = _md5(partial)
    if digest != remote.md5:
        partial.unlink()
        raise DataError(
            f"{remote.url} arrived with MD5 {digest} instead of {remote.md5} and was removed; "
            f"{_next_step(remote, folder)}"
        )
    os.replace(partial, target)
    return target


def _download(remote: Remote, partial: Path) -> None:
    """Append what the partial file lacks, or start again if the server cannot continue."""
    with partial.open("ab") as stream:
        start = stream.tell()
        _log.info("downloading %s%s", remote.url, f" from byte {start}" if start else "")
        try:
            with _open(remote.url, start) as response:
                if response.status == _NOTHING_LEFT:
                    return
                if response.status != _CONTINUED:
                    stream.truncate(0)
                _copy(response, stream)
        except _NetworkError as error:
            raise DataError(
                f"cannot download {remote.url}: {error}; check the network; {_next_step(remote, partial.parent)}"
            ) from error
        stream.flush()
        os.fsync(stream.fileno())


class _NetworkError(Exception):
    """What goes wrong on the side of the network, apart from errors of writing (both are OSErrors in Python)."""


@contextmanager
def _network() -> Generator[None]:
    try:
        yield
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if type(error) is urllib.error.URLError else error
        raise _NetworkError(" ".join(str(reason).split()) or type(error).__name__) from error


def _open(url: str, start: int) -> Any:
    """The server's answer: the bytes from `start` on (206), all of them (200), or that there are none left."""
    headers = {"User-Agent": "bsconv-nas"} | ({"Range": f"bytes={start}-"} if start else {})
    with _network():
        try:
            return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_SECONDS)
        except urllib.error.HTTPError as error:
            if start and error.code == _NOTHING_LEFT:
                return error
            error.close()
            raise


def _copy(response: Any, stream: IO[bytes]) -> None:
    promised = response.headers["Content-Length"]
    count = 0
    while chunk := _read(response):
        stream.write(chunk)
        count += len(chunk)
    if promised is not None and count < int(promised):
        raise _NetworkError(f"the transfer broke off after {count} of {promised} bytes")


def _read(response: Any) -> bytes:
    with _network():
        return response.read(_CHUNK_BYTES)


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _next_step(remote: Remote, folder: Path) -> str:
    return f"run the same command again, or copy {remote.name} to {str(folder)!r} first"
