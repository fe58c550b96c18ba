"""What is read of a study in a database of several: rows, everything stored of one trial, and choices of many."""

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pytest

import bsconv_nas
from benchmarks.made_up_study import MadeUpStudy
from bsconv_nas.errors import StudyError
from bsconv_nas.spaces.genes import GeneSpace
from bsconv_nas.study import Study
from bsconv_nas.study.rows import StudyTable
from bsconv_nas.study.storage import sqlite_url
from tests.searches import LIMITS, table_top1


@dataclass
class Pair:
    """A study of six trials behind one of three in the same database, and its table."""

    first: Study
    second: Study
    table: StudyTable


@pytest.fixture
def pair(tmp_path: Path, space: GeneSpace) -> Pair:
    url = sqlite_url(tmp_path / "shared.db")
    first, second = (
        bsconv_nas.search(space, table_top1, LIMITS, "random", trials, seed=trials, storage=url, study=name)
        for name, trials in (("first", 3), ("second", 6))
    )
    table = StudyTable(url, "second")
    table.refresh()
    return Pair(first, second, table)


def test_rows_are_those_of_the_study_alone(pair: Pair) -> None:
    records = {record.number: record for record in pair.second.records}
    assert {number: row.identity for number, row in pair.table.rows.items()} == {
        number: record.identity for number, record in records.items()
    }
    assert {number: row.top1 for number, row in pair.table.rows.items()} == {
        number: record.top1 for number, record in records.items()
    }
    assert pair.table.attributes["seed"] == 6


def test_everything_stored_of_a_trial(pair: Pair) -> None:
    for record in pair.second.records:
        stored = pair.table.user_attributes(record.number)
        assert (stored["identity"], stored["cost"], stored["seed"]) == (record.identity, record.cost, record.seed)
        (epoch,) = stored["curve"]
        assert epoch[:3] == [1, 1, record.top1]
    with pytest.raises(StudyError, match="study 'second' has no trial 6"):
        pair.table.user_attributes(6)


def test_choices_of_the_trials_that_are_asked_for(pair: Pair, space: GeneSpace) -> None:
    choices = {record.number: space.to_params(record.genotype) for record in pair.second.records}
    assert pair.table.genotypes([4, 1]) == {4: choices[4], 1: choices[1]}
    assert pair.table.genotypes(iter(choices)) == choices
    assert pair.table.genotypes([]) == {}
    # Databases take some hundred numbers in one query, so they are asked in parts.
    many = range(-1200, 6)
    assert pair.table.genotypes(many) == {number: choices.get(number, {}) for number in many}


def test_only_trials_that_may_change_are_read_again(tmp_path: Path) -> None:
    """At 10 000 trials that is the difference between milliseconds and seconds, twice a second."""
    study = MadeUpStudy(tmp_path / "s")
    table = StudyTable(sqlite_url(study.folder / "study.db"), "s")
    read: list[list[int]] = []
    take = table._take
    table._take = lambda rows: (read.append([row.number for row in rows]), take(rows))[1]  # type: ignore[method-assign]
    study.add(3)
    table.refresh()
    study.add(1, "RUNNING")
    study.add(2)
    for _ in range(2):
        table.refresh()
    study.finish(3, 0.5)
    for _ in range(2):
        table.refresh()
    assert read == [[0, 1, 2], [3, 4, 5], [3, 4, 5], [3, 4, 5], []]
    assert table.rows[3].top1 == 0.5


def test_trials_by_their_states(tmp_path: Path) -> None:
    study = MadeUpStudy(tmp_path / "s", latency=True)
    numbers = {state: study.add(1, state)[0] for state in ("COMPLETE", "RUNNING", "PRUNED", "FAIL")}
    table = StudyTable(sqlite_url(study.folder / "study.db"), "s")
    table.refresh()
    rows = {state: table.rows[number] for state, number in numbers.items()}
    assert [row.state for row in rows.values()] == ["complete", "running", "stopped", "failed"]
    complete, *others = rows.values()
    assert complete.top1 is not None
    assert (complete.epoch, complete.epochs, complete.latest) == (0, 0, None), "its curve is not read"
    for row in others:
        curve = table.user_attributes(row.number)["curve"]
        assert row.top1 is None
        assert [row.epoch, row.epochs, row.latest] == curve[-1][:3]
        assert row.epoch == len(curve) == 2
    assert rows["RUNNING"].completed is None
    assert all(row.started is not None for row in rows.values())
    assert [(row.over, row.known) for row in rows.values()] == [(0, 1), (0, 0), (0, 0), (3, 1)]
    for row in rows.values():
        assert row.cost["latency_ms"] == pytest.approx(row.cost["macs"] / 3e6)
        assert row.worker is not None
        assert row.worker.startswith("lab-")


def test_rows_tell_what_is_over_a_limit(tmp_path: Path) -> None:
    study = MadeUpStudy(tmp_path / "s")
    study.add(8)
    table = StudyTable(sqlite_url(study.folder / "study.db"), "s")
    table.refresh()
    middle = sorted(row.cost["macs"] for row in table.rows.values())[4]
    for limits, allowed in (({"macs": middle}, 5), ({"macs": middle, "latency_ms": 1.0}, 5), ({"params": 1.0}, 0)):
        table = StudyTable(sqlite_url(study.folder / "study.db"), "s")
        _set_limits(study.folder / "study.db", limits)
        table.refresh()
        assert sum(row.allowed for row in table.rows.values()) == allowed


def _set_limits(path: Path, limits: dict[str, float]) -> None:

    with sqlite3.connect(path) as connection:
        connection.execute(
            "UPDATE study_user_attributes SET value_json = ? WHERE key = 'limits'", (json.dumps(limits),)
        )
    connection.close()
