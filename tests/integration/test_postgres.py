"""Studies in PostgreSQL: a real server, which is stopped and started in mid-search."""

import logging
import threading
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import RDBStorage
from sqlalchemy.exc import OperationalError

from bsconv_nas.api import search
from bsconv_nas.base.limits import Limits
from bsconv_nas.errors import StorageError, StudyError
from bsconv_nas.evaluation import Job
from bsconv_nas.spaces.genes import GeneSpace
from bsconv_nas.study import Study, outage
from bsconv_nas.study.database_lease import DatabaseLease
from bsconv_nas.study.storage import open_storage
from tests.postgres import Server, postgres_server
from tests.searches import LIMITS, Epochs, outcomes, sampler_for
from tests.unit.test_database_lease import hold_elsewhere, opened


@pytest.fixture(scope="module")
def server() -> Generator[Server]:
    with postgres_server() as running:
        yield running


def run(space: GeneSpace, server: Server, name: str, trials: int, evaluator: Epochs | None = None) -> Study:
    return search(space, evaluator or Epochs(2), LIMITS, "tpe", trials, storage=server.url, study=name)


def test_a_search_is_the_same_as_in_sqlite_and_readable_by_optuna(
    space: GeneSpace, server: Server, tmp_path: Path
) -> None:
    study = run(space, server, "same", 14)
    assert outcomes(study.records) == outcomes(search(space, Epochs(2), LIMITS, "tpe", 14, folder=tmp_path).records)
    own = optuna.load_study(study_name="same", storage=RDBStorage(_with_psycopg(server.url))).get_trials()
    ours = optuna.load_study(study_name="same", storage=open_storage(server.url)).get_trials()
    assert own == ours == study.optuna_study.get_trials()
    assert run(space, server, "same", 16).count == 16


def test_a_server_that_is_killed_and_started_again_in_mid_search_loses_nothing(
    space: GeneSpace, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    expected = outcomes(search(space, Epochs(2), LIMITS, "tpe", 14).records)
    starter: list[threading.Timer] = []

    def on_epoch(job: Job, epoch: int) -> None:
        if (job.number, epoch) in ((3, 1), (9, 2)):
            server.stop()
            starter.append(threading.Timer(2.0, server.start))
            starter[-1].start()

    with caplog.at_level(logging.WARNING):
        study = run(space, server, "killed", 14, Epochs(2, on_epoch))
    for timer in starter:
        timer.join()
    assert len(starter) == 2
    assert caplog.text.count("waiting for the study's database") >= 2
    assert outcomes(study.records) == expected
    assert outcomes(Study.load(open_storage(server.url), "killed").records) == expected


@pytest.mark.long
def test_an_outage_of_half_a_minute_is_waited_for(space: GeneSpace, server: Server) -> None:
    def on_epoch(job: Job, epoch: int) -> None:
        if (job.number, epoch) == (2, 1):
            server.stop("fast")
            threading.Timer(30.0, server.start).start()

    started = time.monotonic()
    study = run(space, server, "half a minute", 6, Epochs(2, on_epoch))
    assert time.monotonic() - started >= 30
    assert [record.state for record in study.records] == ["complete"] * 6


def test_a_server_that_stays_away_ends_the_search_and_loses_nothing(
    space: GeneSpace, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_epoch(job: Job, epoch: int) -> None:
        if (job.number, epoch) == (2, 1):
            server.stop()

    monkeypatch.setattr(outage, "OUTAGE_SECONDS", 1.0)
    with pytest.raises(StorageError, match=r"check the connection, then run the same command again"):
        run(space, server, "away", 6, Epochs(2, on_epoch))
    server.start()
    monkeypatch.undo()
    study = Study.load(open_storage(server.url), "away")
    assert [record.number for record in study.records] == [0, 1]
    # The lease could not be given back, but its process is this one; another one would find it dead.
    _forget_leases(server)
    assert [r.number for r in run(space, server, "away", 6).records] == [0, 1, 2, 3, 4, 5]


def test_a_commit_of_which_the_answer_was_lost_is_not_done_twice(space: GeneSpace, server: Server) -> None:
    storage = opened(server.url)
    study = Study.open(storage, "lost", space, Limits(LIMITS), 0, {})
    real, answers = storage.write, iter([False, True, False, True, True, True])

    def write(study_id: int, changes: Any) -> dict[int, int]:
        ids = real(study_id, changes)
        if not next(answers):
            raise OperationalError("COMMIT", {}, ConnectionError("server closed the connection"))
        return ids

    storage.write = write  # type: ignore[method-assign]
    study.start(space, sampler_for(space))
    study.complete(study.start(space, sampler_for(space)), 0.5)
    stored = optuna.load_study(study_name="lost", storage=opened(server.url)).trials
    assert [(trial.number, trial.state.name) for trial in stored] == [(0, "RUNNING"), (1, "COMPLETE")]
    assert next(answers) is True


def test_one_driver_at_a_time_also_across_hosts(space: GeneSpace, server: Server) -> None:
    with DatabaseLease(opened(server.url), "leased"), pytest.raises(StudyError, match="'leased' is being searched by"):
        run(space, server, "leased", 1)
    hold_elsewhere(opened(server.url), time.time() + 1000)
    with pytest.raises(StudyError, match="searched by process 77 on otherhost; wait for it"):
        run(space, server, "s", 1)
    _forget_leases(server)
    hold_elsewhere(opened(server.url), time.time() - 5)
    assert run(space, server, "s", 1).count == 1


def at_once(start: Callable[[], None]) -> None:
    """Call it in eight threads and wait for all."""
    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_many_drivers_that_start_at_once_leave_one(space: GeneSpace, server: Server) -> None:
    opened(server.url)  # makes the tables
    held: list[DatabaseLease] = []

    def take() -> None:
        with suppress(StudyError):
            held.append(DatabaseLease(opened(server.url), "race"))

    at_once(take)
    for lease in held:
        lease.release()
    assert len(held) == 1


def test_drivers_that_start_at_once_on_an_empty_database_make_its_tables_once(server: Server) -> None:
    with opened(server.url).engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("DROP DATABASE IF EXISTS empty WITH (FORCE)")
        connection.exec_driver_sql("CREATE DATABASE empty")
    url, failed = server.url.removesuffix("postgres") + "empty", list[Exception]()

    def start() -> None:
        try:
            opened(url)
        except StorageError as error:
            failed.append(error)

    at_once(start)
    assert not failed


def test_a_server_that_is_not_there_is_an_error_without_its_password(space: GeneSpace, tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(StorageError, match="cannot open storage") as caught:
        search(space, Epochs(1), LIMITS, storage="postgresql://me:geheim@127.0.0.1:1/x?sslpassword=geheim")
    assert "geheim" not in str(caught.value)


def _with_psycopg(url: str) -> str:
    return url.replace("postgresql:", "postgresql+psycopg:")


def _forget_leases(server: Server) -> None:
    with opened(server.url).engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM bsconv_nas_leases")
