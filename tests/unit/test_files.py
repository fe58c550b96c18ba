import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsconv_nas.base.files import canonical_json, write_atomic
from bsconv_nas.errors import StorageError


def _full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("content", "stored"), [("zwölf\n", "zwölf\n".encode()), (b"\x00\xff", b"\x00\xff"), ("", b"")]
)
def test_content_is_written_as_given(tmp_path: Path, content: str | bytes, stored: bytes) -> None:
    path = tmp_path / "new" / "folder" / "result.json"
    write_atomic(path, content)
    assert path.read_bytes() == stored
    assert os.listdir(path.parent) == ["result.json"]


def test_the_content_is_on_disk_before_the_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "result.json"
    sizes: list[int] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        assert not path.exists()
        sizes.append(os.fstat(handle).st_size)
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    write_atomic(path, "new")
    assert sizes == [3]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_keeps_the_old_content_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "result.json"
    write_atomic(path, "old")
    monkeypatch.setattr(os, call, _full)
    with pytest.raises(StorageError, match=r"result\.json: No space left on device; make room"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["result.json"]


def test_an_interrupt_keeps_the_old_content_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "result.json"
    write_atomic(path, "old")
    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["result.json"]


def test_a_folder_that_is_a_file_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="choose another folder"):
        write_atomic(tmp_path / "file" / "result.json", "new")


def test_a_target_that_is_a_folder_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "result.json").mkdir()
    with pytest.raises(StorageError):
        write_atomic(tmp_path / "result.json", "new")
    assert os.listdir(tmp_path) == ["result.json"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission_is_a_storage_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StorageError, match="Permission denied"):
            write_atomic(tmp_path / "result.json", "new")
    finally:
        tmp_path.chmod(0o700)


def test_a_refused_creation_is_a_storage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(StorageError, match="Permission denied"):
        write_atomic(tmp_path / "result.json", "new")


def test_files_have_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "ordinary").write_text("")
    write_atomic(tmp_path / "result.json", "new")
    assert (tmp_path / "result.json").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.booleans()), max_size=5))
def test_canonical_json_forgets_the_order_of_keys(value: dict[str, object]) -> None:
    assert canonical_json(value) == canonical_json(dict(reversed(value.items())))
    assert canonical_json(value).isascii()


def test_canonical_json_refuses_nan() -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json([float("nan")])
