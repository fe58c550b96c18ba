import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bsconv_nas.data import load_search_data
from bsconv_nas.data.cache import ArrayFile
from bsconv_nas.errors import StorageError
from tests.unit.data_helpers import make_folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "data")


def test_a_cache_folder_that_cannot_be_made(root: Path, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        StorageError, match=r"cannot write decoded images to .*file/cache: Not a directory; make room or"
    ):
        load_search_data(str(root), cache_dir=tmp_path / "file" / "cache")


class _FullDisk:
    def __init__(self, stream) -> None:
        self._stream = stream

    def __getattr__(self, name: str):
        return getattr(self._stream, name)

    def write(self, data) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_disk_that_fills_up_leaves_nothing_behind(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch):
    enter = ArrayFile.__enter__

    def entered(self):
        enter(self)
        self._stream = _FullDisk(self._stream)
        return self

    monkeypatch.setattr(ArrayFile, "__enter__", entered)
    with pytest.raises(StorageError, match="No space left on device"):
        load_search_data(str(root), cache_dir=cache)
    assert list(cache.iterdir()) == []


def test_a_disk_without_room_is_found_out_before_decoding(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    monkeypatch.setattr("bsconv_nas.data.rows.decode_all", None)
    with pytest.raises(StorageError, match="No space left on device"):
        load_search_data(str(root), cache_dir=cache)
    assert list(cache.iterdir()) == []


def test_a_file_system_that_cannot_reserve_room_is_fine(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*args: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    assert load_search_data(str(root), cache_dir=cache).num_classes == 2


def test_an_interrupted_decoding_leaves_nothing_behind(root: Path, cache: Path):
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_search_data(str(root), cache_dir=cache, progress=interrupt)
    assert list(cache.iterdir()) == []


def test_a_killed_process_leaves_nothing_that_is_trusted(root: Path, cache: Path):
    code = (
        "import os, signal, sys; from pathlib import Path; from bsconv_nas.data import load_search_data\n"
        "kill = lambda done, total: os.kill(os.getpid(), signal.SIGKILL)\n"
        "load_search_data(sys.argv[1], cache_dir=Path(sys.argv[2]), progress=kill)"
    )
    process = subprocess.run([sys.executable, "-c", code, str(root), str(cache)], check=False)
    assert process.returncode == -9
    (left,) = cache.iterdir()
    assert left.suffix == ".tmp"
    load_search_data(str(root), cache_dir=cache)
    assert left.exists()  # too young: another process may be writing it
    os.utime(left, (time.time() - 7200,) * 2)
    next(cache.glob("*.json")).unlink()  # so that the entry is made again
    load_search_data(str(root), cache_dir=cache)
    assert not left.exists()
