"""One driver at a time: a lock on a study's folder that ends with the process that holds it."""

import fcntl
import json
import os
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from bsconv_nas.errors import StorageError, StudyError

_TRIES = 25


class Lease:
    """Exclusive right to write to a study; a context manager.

    The operating system gives the lock back when its process ends, however it ends, so a dead driver never blocks the
    next one.

    Raises:
        StudyError: another process holds it.
        StorageError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "driver.lock"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = open(self._path, "a+", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            raise StorageError(f"cannot write to {folder}: {error.strerror}; choose another folder by --dir") from error
        try:
            self._lock()
        except BlockingIOError as error:
            holder = self._holder()
            self._file.close()
            raise StudyError(
                f"study {folder} is being searched by {holder}; wait for it, stop it, or choose another --study"
            ) from error
        self._file.truncate(0)
        json.dump({"pid": os.getpid(), "host": socket.gethostname()}, self._file)
        self._file.flush()

    def _lock(self) -> None:
        # `searched_since` holds the lock for microseconds: that is no driver.
        for _ in range(_TRIES - 1):
            try:
                return fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.02)
        return fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _holder(self) -> str:
        self._file.seek(0)
        try:
            data = json.loads(self._file.read())
            return f"process {data['pid']} on {data['host']}"
        except (json.JSONDecodeError, KeyError, TypeError):
            return "another process"

    def release(self) -> None:
        """Give the lease back; doing so twice does no harm."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def is_searched(folder: Path) -> bool:
    """Whether a driver holds the lease of a study's folder now."""
    return searched_since(folder) is not None


def searched_since(folder: Path) -> float | None:
    """When the driver that holds the lease of a study's folder took it, in seconds since 1970; None without one."""
    path = folder / "driver.lock"
    if not path.exists():
        return None
    with open(path, encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return os.fstat(file.fileno()).st_mtime  # the driver wrote its name then
    return None
