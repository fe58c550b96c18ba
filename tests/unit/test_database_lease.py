"""Leases in a database: one driver, takeover of dead ones, and nothing written by one that lost its lease."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from bsconv_nas.errors import StudyError
from bsconv_nas.spaces.genes import GeneSpace
from bsconv_nas.study.database import Database
from bsconv_nas.study.database_lease import _LEASES, DatabaseLease, _is_dead, _process, _this_process
from bsconv_nas.study.storage import open_storage, sqlite_url
from tests.searches import new_study, sampler_for

ROOT = Path(__file__).parents[2]
HOLD = "import sys\nfrom bsconv_nas.study.storage import open_storage\n"
HOLD += "from bsconv_nas.study.database_lease import DatabaseLease\n"
HOLD += "lease = DatabaseLease(open_storage(sys.argv[1]), 's')\nprint('held', flush=True)\nsys.stdin.read()"
ELSEWHERE = "otherhost 1 pid:[1] 77 1"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return sqlite_url(tmp_path / "study.db")


@pytest.fixture
def database(url: str) -> Database:
    return opened(url)


def opened(url: str) -> Database:
    storage = open_storage(url)
    assert isinstance(storage, Database)
    return storage


def stored(database: Database, column: str) -> object:
    with database.engine.connect() as connection:
        return connection.execute(select(_LEASES.c[column])).scalar()


def hold_elsewhere(database: Database, until: float) -> None:
    """Store the lease of a driver on another host."""
    _LEASES.metadata.create_all(database.engine)
    row = {"study": "s", "token": "x", "holder": "process 77 on otherhost", "process": ELSEWHERE, "until": until}
    with database.engine.begin() as connection:
        connection.execute(insert(_LEASES), row)


def test_a_second_driver_is_refused_until_the_first_is_done(database: Database, url: str) -> None:
    with DatabaseLease(database, "s"):
        with pytest.raises(StudyError, match=rf"searched by process {os.getpid()} on .*its lease ends in [56]\d s"):
            DatabaseLease(opened(url), "s")
        DatabaseLease(opened(url), "another study").release()
    with DatabaseLease(opened(url), "s"):
        pass
    assert stored(database, "study") is None


def test_a_killed_driver_of_this_machine_blocks_nobody(database: Database, url: str) -> None:
    command = [sys.executable, "-c", HOLD, url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(StudyError, match=f"searched by process {process.pid}"):
            DatabaseLease(database, "s")
        process.kill()
        process.wait(60)
        DatabaseLease(database, "s").release()


def test_a_driver_of_another_host_is_waited_for_until_its_lease_ends(database: Database) -> None:
    hold_elsewhere(database, time.time() + 1000)
    with pytest.raises(StudyError, match="searched by process 77 on otherhost; wait for it"):
        DatabaseLease(database, "s")
    with database.engine.begin() as connection:
        connection.execute(update(_LEASES).values(until=time.time() - 2))
    with DatabaseLease(database, "s"):
        assert stored(database, "process") == _this_process()


def test_a_driver_that_lost_its_lease_writes_nothing_more(space: GeneSpace, database: Database, url: str) -> None:
    with DatabaseLease(database, "s"):
        study = new_study(space, storage=database)
        record = study.start(space, sampler_for(space))
        with database.engine.begin() as connection:  # as if suspended for long, and another host came
            connection.execute(update(_LEASES).values(token="x", holder="process 77 on otherhost"))
        with pytest.raises(StudyError, match="'s' has been taken over by process 77 on otherhost; this run ends"):
            study.complete(record, 0.5)
        with pytest.raises(StudyError, match="taken over"):
            study.start(space, sampler_for(space))
    assert new_study(space, storage=opened(url)).unfinished() == [0]
    assert stored(database, "token") == "x"


def test_a_lease_is_renewed_in_the_background(database: Database) -> None:
    with DatabaseLease(database, "s", seconds=2):
        first = stored(database, "until")
        end = time.monotonic() + 120
        while stored(database, "until") == first and time.monotonic() < end:
            time.sleep(0.05)
        assert stored(database, "until") != first


def test_every_write_renews_the_lease(space: GeneSpace, database: Database) -> None:
    with DatabaseLease(database, "s"):
        study = new_study(space, storage=database)
        with database.engine.begin() as connection:
            connection.execute(update(_LEASES).values(until=0))
        study.start(space, sampler_for(space))
        assert stored(database, "until") != 0


def test_processes_are_told_apart_by_their_start() -> None:
    here = _this_process()
    assert not _is_dead(here)
    *place, pid, start = here.split()
    assert _is_dead(" ".join([*place, pid, str(int(start) - 1)]))  # the number was given again
    assert not _is_dead(ELSEWHERE)
    assert not _is_dead("nonsense")
    assert _process(2**22 + 1) is None
