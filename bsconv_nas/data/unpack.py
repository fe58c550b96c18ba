"""Extraction of a tar archive: all of it or nothing, and nothing outside the folder."""

import os
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from bsconv_nas.base.text import listed, printable
from bsconv_nas.errors import DataError

# Python 3.11.0 to 3.11.3 have no filters; `_plain_members` allows nothing that they would refuse.
_FILTER: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}


def unpack(archive: Path, names: Sequence[str]) -> None:
    """Extract an archive and move these of its top-level files and folders beside it.

    Members are extracted into a hidden folder first, so a name that is there is there as a whole. The caller keeps
    other processes away (`fetch.sole_writer`).

    Raises:
        DataError: a damaged archive, one without these names, or one with links or paths that lead outside.
        OSError: the folder cannot be written, or is full.
    """
    folder = archive.parent
    hidden = folder / f".{archive.name}.unpacking"
    shutil.rmtree(hidden, ignore_errors=True)  # Left behind by a process that was killed.
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(hidden, _plain_members(tar, archive), **_FILTER)
        missing = [name for name in names if not (hidden / name).exists()]
        if missing:
            raise DataError(f"{str(archive)!r} has no {listed(missing)}; remove it and add --download")
        for name in names:
            os.replace(hidden / name, folder / name)
    except (tarfile.TarError, EOFError) as error:
        raise DataError(f"{str(archive)!r} is damaged ({error}); remove it and add --download") from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _plain_members(tar: tarfile.TarFile, archive: Path) -> list[tarfile.TarInfo]:
    """All members, if they are files and folders below the top."""
    members = tar.getmembers()
    for member in members:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or not (member.isreg() or member.isdir()):
            raise DataError(
                f"{str(archive)!r} has the member '{printable(member.name)}', which is not a file or folder below "
                "its top, so nothing was extracted; remove the archive and add --download"
            )
    return members
