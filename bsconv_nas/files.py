"""Files that are either whole or absent, and JSON in one canonical form."""

import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

from bsconv_nas.errors import StorageError


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces, so that equal values have equal text (and equal hashes)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


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
