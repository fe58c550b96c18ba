"""Rows of a study: the same as Optuna's own reading, kept up to date, and never a write."""

import os
import shutil
import socket
import sqlite3
import time
from collections.abc import Generator
from pathlib import Path

import pytest
import sqlalchemy as sa

import bsconv_nas
from benchmarks.made_up_study import MadeUpStudy
from bsconv_nas.errors import StorageError, StudyError
from bsconv_nas.spaces.genes import GeneSpace
from bsconv_nas.study.rows import StudyTable
from bsconv_nas.study.storage import sqlite_url
from tests.searches import LIMITS, table_top1


def made_up(folder: Path) -> tuple[MadeUpStudy, StudyTable]:
    study = MadeUpStudy(folder / "s")
    return study, StudyTable(sqlite_url(study.folder / "study.db"), "s")


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """A time zone that is not that of the database."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("elsewhere")
def test_rows_are_what_the_study_holds(tmp_path: Path, space: GeneSpace) -> None:
    study = bsconv_nas.search(space, table_top1, LIMITS, trials=12, sampler="random", folder=tmp_path / "s")
    table = StudyTable(sqlite_url(tmp_path / "s/study.db"), study.name)
    assert table.refresh()
    for record in study.all_records:
        row = table.rows[record.number]
        assert (row.state, row.identity, row.top1) == (str(record.state), record.identity, record.top1)
        assert (row.cost, row.objective, row.allowed) == (record.cost, record.cost["macs"], True)
        avoided = record.avoided or {}
        assert (row.over, row.known) == (avoided.get("over_limit", 0), avoided.get("known", 0))
        assert record.worker == row.worker == f"{socket.gethostname()} pid {os.getpid()}"
        assert record.completed is not None
        assert row.heard == pytest.approx(record.completed.timestamp(), abs=60)
        assert row.completed == pytest.approx(record.completed.timestamp(), abs=0.01)
    genotypes = table.genotypes([0, 5])
    assert space.from_params(genotypes[5]) == next(r.genotype for r in study.records if r.number == 5)
    assert not table.refresh()


def test_only_changes_are_told(tmp_path: Path) -> None:
    study, table = made_up(tmp_path)
    study.add(3)
    running = study.add(1, "RUNNING")[0]
    study.add(2)
    table.refresh()
    before = table.revision
    assert {row.number for row in table.since(0)} == set(range(6))
    assert table.rows[running].epoch == 2
    study.finish(running, 0.5)
    study.add(1, "FAIL")
    assert table.refresh()
    assert [(row.number, row.state) for row in table.since(before)] == [(running, "complete"), (6, "failed")]
    assert table.rows[running].top1 == 0.5
    assert table.since(table.revision) == []


def test_a_study_made_anew_is_another_one(tmp_path: Path) -> None:
    study, table = made_up(tmp_path)
    study.add(4)
    table.refresh()
    shutil.rmtree(study.folder)
    with pytest.raises(StorageError, match="cannot read study 's'"):
        table.refresh()
    assert not study.folder.exists()  # reading creates nothing
    again = MadeUpStudy(study.folder, seed=9)
    with sqlite3.connect(study.folder / "study.db") as connection:  # another day
        again.add(1)
        connection.execute("UPDATE trials SET datetime_start = '2027-01-01 00:00:00'")
    connection.close()
    table.refresh()
    assert table.generation == 1
    assert list(table.rows) == [0]


def test_a_deleted_study_is_said_to_be_gone(tmp_path: Path) -> None:
    study, table = made_up(tmp_path)
    study.add(1)
    table.refresh()
    with sqlite3.connect(study.folder / "study.db") as connection:
        connection.execute("DELETE FROM studies")
    connection.close()
    with pytest.raises(StudyError, match="'s' is gone"):
        table.refresh()


def test_connections_cannot_write(tmp_path: Path) -> None:
    study, table = made_up(tmp_path)
    study.add(1)
    with pytest.raises(StorageError, match="readonly"), table.connection() as connection:
        connection.execute(sa.text("DELETE FROM trials"))
    table.refresh()
    assert len(table.rows) == 1


def test_a_proposal_without_its_end_is_no_row(tmp_path: Path) -> None:
    study, table = made_up(tmp_path)
    study.add(2)
    with sqlite3.connect(study.folder / "study.db") as connection:
        connection.execute("INSERT INTO trials VALUES (3, 2, 1, 'RUNNING', '2026-01-01 00:00:00', NULL)")
    connection.close()
    table.refresh()
    assert list(table.rows) == [0, 1]


def test_an_unknown_trial_is_refused(tmp_path: Path) -> None:
    study, table = made_up(tmp_path)
    study.add(1)
    table.refresh()
    with pytest.raises(StudyError, match="has no trial 7"):
        table.user_attributes(7)
