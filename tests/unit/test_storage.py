"""Storages: what URLs give, the write-ahead log, and what an error must and must not show."""

import os
import sqlite3
from pathlib import Path

import pytest
from optuna.storages import InMemoryStorage

from bsconv_nas.errors import BsconvNasError, StorageError, UsageError
from bsconv_nas.study.storage import database_errors, existing_study, has_password, hidden, open_storage, sqlite_url


def test_none_is_memory() -> None:
    assert isinstance(open_storage(None), InMemoryStorage)


def test_sqlite_has_a_write_ahead_log(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    storage = open_storage(sqlite_url(path))
    with storage.engine.connect() as connection:  # type: ignore[attr-defined]
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 1
    with sqlite3.connect(path) as fresh:  # it is a property of the file, so other programs use it too
        assert fresh.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    fresh.close()


@pytest.mark.parametrize("url", ["study.db", "", "foo://x/y", "redis://localhost", "postgresql//host/db"])
def test_what_is_no_database_url_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(UsageError, match=r"not a database URL; write for example sqlite:///study\.db"):
        open_storage(url)


@pytest.mark.parametrize("url", ["oracle+cx_oracle://u:geheim@h/d", "mssql+pymssql://u:geheim@h/d"])
def test_a_missing_driver_is_named(url: str) -> None:
    with pytest.raises(UsageError, match=r"needs a driver: No module named '\w+'; install it"):
        open_storage(url)


@pytest.mark.parametrize(
    "url",
    [
        "oracle+cx_oracle://user:geheim@host/db",
        "postgresql//user:geheim@host/db",
        "user:geheim@host",
        "foo://user:geheim@host/db",
        "sqlite://user:geheim@host/db",
    ],
)
def test_passwords_are_never_shown(url: str) -> None:
    with pytest.raises(BsconvNasError) as caught:
        open_storage(url)
    assert "geheim" not in str(caught.value)


def test_passwords_are_found_and_hidden() -> None:
    url = "postgresql://user:geheim@host/db"
    assert has_password(url)
    assert not has_password("sqlite:///x.db")
    assert "geheim" not in hidden(url)
    assert "user" in hidden(url)


@pytest.mark.parametrize("place", ["missing/study.db", "file/study.db", "folder"])
def test_files_that_cannot_be_opened_are_storage_errors(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match=r"cannot open storage .*; check path and permissions"):
        open_storage(f"sqlite:///{tmp_path / place}")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_text("text " * 2000)
    with pytest.raises(StorageError, match="file is not a database"):
        open_storage(sqlite_url(tmp_path / "study.db"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_unwritable_folders_are_storage_errors(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="cannot"):
        open_storage(sqlite_url(tmp_path / "study.db"))


def test_proc_is_an_unwritable_folder_for_root_too() -> None:
    with pytest.raises(StorageError, match="unable to open database file"):
        open_storage("sqlite:////proc/study.db")


def test_a_missing_study_lists_those_there_are(tmp_path: Path) -> None:
    storage = open_storage(sqlite_url(tmp_path / "study.db"))
    with pytest.raises(UsageError, match="no study 'a' in this storage; it holds: none"):
        existing_study(storage, "a")


def test_a_database_that_fails_in_use_is_a_storage_error(tmp_path: Path) -> None:
    storage = open_storage(sqlite_url(tmp_path / "study.db"))
    with storage.engine.begin() as connection:  # type: ignore[attr-defined]
        connection.exec_driver_sql("DROP TABLE studies")
    with pytest.raises(StorageError, match=r"no such table: studies; .*what is stored is kept"), database_errors():
        storage.get_all_studies()
