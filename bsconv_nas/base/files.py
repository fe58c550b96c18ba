"""Files that are either whole or absent, and JSON in one canonical form."""

import errno
import json
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from bsconv_nas.errors import StorageError


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces, so that equal values have equal text (and equal hashes)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def read_limited(path: Path, most: int = 1_000_000) -> str:
    """Text of a file that somebody else may have made: of a regular file (a pipe would be waited for) of limited size.

    Raises:
        OSError: it cannot be read, is no regular file, or has more than `most` bytes.
        UnicodeDecodeError: it is not UTF-8.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):  # for folders the system's error will do
        raise OSError(errno.EINVAL, "not a regular file")
    if status.st_size > most:
        raise OSError(errno.EFBIG, f"larger than {most} bytes")
    return path.read_text(encoding="utf-8")


def write_atomic(path: Path, content: bytes | str, durable: bool = True) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new one and nothing between.

    Without `durable` that holds for crashes of programs but not for power cuts, after which the file may be damaged.

    Raises:
        StorageError: the disk is full, or the folder cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as stream:
            stream.write(data)
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {error.strerror or error}; make room or choose another folder, "
            "then run the same command again: what is stored is kept"
        ) from error
    finally:
        with suppress(OSError):  # already gone when it has become `path`
            temporary.unlink()
