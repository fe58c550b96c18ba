"""SQLite files that are damaged, cut, replaced or locked, and the backups beside them."""

import logging
import os
import sqlite3
import subprocess
import threading
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import pytest

from bsconv_nas.api import search
from bsconv_nas.base.limits import Limits
from bsconv_nas.errors import StorageError
from bsconv_nas.spaces.genes import GeneSpace
from bsconv_nas.study import Study, backup, outage
from bsconv_nas.study.backup import Backups, backup_of, sqlite_file
from bsconv_nas.study.filesystem import network_file_system
from bsconv_nas.study.storage import open_storage, sqlite_url
from tests.searches import LIMITS, Epochs, outcomes, sampler_for


def run(space: GeneSpace, folder: Path, trials: int) -> Study:
    return search(space, Epochs(1), LIMITS, "random", trials, folder=folder)


def test_a_search_leaves_a_backup_with_all_its_trials(space: GeneSpace, tmp_path: Path) -> None:
    study = run(space, tmp_path, 4)
    file = backup_of(tmp_path / "study.db")
    assert file == tmp_path / "study.backup.db"
    copy = Study.load(open_storage(sqlite_url(file)), "table")
    assert outcomes(copy.records) == outcomes(study.records)


@pytest.mark.parametrize("size", [0, 100, 4096, 30_000])
def test_a_cut_database_is_noticed_and_its_backup_goes_on(space: GeneSpace, tmp_path: Path, size: int) -> None:
    before = run(space, tmp_path, 6)
    before.optuna_study._storage._backend.engine.dispose()  # type: ignore[attr-defined]
    file = tmp_path / "study.db"
    os.truncate(file, size)
    with pytest.raises(StorageError, match=r"study\.db") as caught:
        run(space, tmp_path, 8)
    message = str(caught.value)
    command = message.partition("go on from its last backup: `")[2].partition("`")[0]
    assert command == f"rm {file}*; cp {tmp_path}/study.backup.db {file}", message
    subprocess.run(command, shell=True, check=True)
    after = run(space, tmp_path, 8)
    assert outcomes(after.records)[:6] == outcomes(before.records)
    assert after.count == 8


def test_damage_inside_the_file_is_noticed(space: GeneSpace, tmp_path: Path) -> None:
    run(space, tmp_path, 3).optuna_study._storage._backend.engine.dispose()  # type: ignore[attr-defined]
    file = tmp_path / "study.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'trial_params'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with open(file, "r+b") as stream:
        stream.seek((page - 1) * size)
        stream.write(b"\xff" * size)
    with pytest.raises(StorageError, match=r"study\.db.*go on from its last backup"):
        run(space, tmp_path, 4)


def test_without_a_backup_the_message_names_none(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    with pytest.raises(StorageError) as caught:
        open_storage(sqlite_url(tmp_path / "study.db"))
    assert "its last backup" not in str(caught.value)
    with pytest.raises(StorageError, match=r"is damaged .*restore it from a copy of your own"):
        Backups(tmp_path / "study.db").check()


def test_backups_are_made_anew_only_after_a_while(
    space: GeneSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(space, tmp_path, 1)
    backups, file = Backups(tmp_path / "study.db"), backup_of(tmp_path / "study.db")
    file.unlink()
    backups.make(at_once=False)
    assert not file.exists()
    monkeypatch.setattr(backup, "_INTERVAL", 0.0)
    backups.make(at_once=False)
    assert file.exists()


def test_a_backup_that_cannot_be_made_is_said_and_harms_nothing(
    space: GeneSpace, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(space, tmp_path, 1)
    backup_of(tmp_path / "study.db").unlink()
    backup_of(tmp_path / "study.db").mkdir()
    with caplog.at_level(logging.WARNING):
        assert run(space, tmp_path, 2).count == 2
    assert "no backup of" in caplog.text
    assert not list(tmp_path.glob(".study*"))


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:////a/b.db", "/a/b.db"),
        ("sqlite:///:memory:", None),
        ("sqlite://", None),
        ("sqlite:///file:x?uri=true", None),
        ("postgresql://h/d", None),
    ],
)
def test_only_files_of_sqlite_have_backups(url: str, file: str | None) -> None:
    from sqlalchemy.engine import make_url

    assert sqlite_file(make_url(url)) == (Path(file) if file else None)


# A lock held by another program


def test_a_lock_of_another_program_is_waited_for(
    space: GeneSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("bsconv_nas.study.storage._BUSY_SECONDS", 0.05)
    url = sqlite_url(tmp_path / "s.db")
    study = Study.open(open_storage(url), "s", space, Limits(LIMITS), 0, {})
    record = study.start(space, sampler_for(space))
    with closing(sqlite3.connect(tmp_path / "s.db", check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(1.0, other.rollback).start()
        with caplog.at_level(logging.WARNING):
            study.complete(record, 0.5)
    assert "waiting for the study's database (at most 600 s): database is locked" in caplog.text
    assert "is back" in caplog.text
    assert [r.top1 for r in Study.load(open_storage(url), "s").records] == [0.5]


def test_a_lock_that_is_never_given_back_is_an_error(
    space: GeneSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bsconv_nas.study.storage._BUSY_SECONDS", 0.05)
    monkeypatch.setattr(outage, "OUTAGE_SECONDS", 0.5)
    study = Study.open(open_storage(sqlite_url(tmp_path / "s.db")), "s", space, Limits(LIMITS), 0, {})
    record = study.start(space, sampler_for(space))
    with closing(sqlite3.connect(tmp_path / "s.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match=r"database is locked; .*what is stored is kept"):
            study.complete(record, 0.5)
    study.complete(record, 0.5)
    assert study.unfinished() == []


# A disk that is really full


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600k", "none", place], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("file systems may not be mounted here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_ends_the_search_and_loses_nothing(space: GeneSpace, small_disk: Path) -> None:
    with pytest.raises(StorageError, match=r"what is stored is kept"):
        run(space, small_disk, 58)
    stored = Study.load(open_storage(sqlite_url(small_disk / "study.db")), "table").records
    subprocess.run(["mount", "-o", "remount,size=100M", small_disk], check=True)
    study = run(space, small_disk, 20)
    assert outcomes(study.records)[: len(stored)] == outcomes(stored)
    assert study.unfinished() == []


# Network file systems

MOUNTS = """21 1 8:1 / / rw - ext4 /dev/sda1 rw
30 21 0:40 / /home rw,relatime shared:1 - nfs4 server:/home rw
31 30 8:2 / /home/local\\040disk rw - xfs /dev/sdb1 rw
32 21 0:41 / /scratch rw - lustre mgs:/scratch rw
33 21 0:42 / /scratch rw - ext4 /dev/sdc1 rw
nonsense
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/tmp/x", None),
        ("/home/me/studies/study.db", "nfs4"),
        ("/home/local disk/study.db", None),
        ("/homes/study.db", None),
        ("/scratch/study.db", None),
    ],
)
def test_network_file_systems_are_known_by_their_mounts(path: str, kind: str | None) -> None:
    assert network_file_system(Path(path), MOUNTS) == kind


def test_a_study_on_one_is_warned_about(
    space: GeneSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(backup, "network_file_system", lambda path: "nfs4")
    with caplog.at_level(logging.WARNING):
        run(space, tmp_path, 1)
    assert "network file system (nfs4)" in caplog.text
