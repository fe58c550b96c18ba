"""A driver that dies or is interrupted, in processes of its own; the study is continued after it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from bsconv_nas.api import search
from bsconv_nas.engine.options import SearchOptions
from bsconv_nas.errors import StudyError
from bsconv_nas.study import Study
from tests.processes import Process, alive
from tests.searches import LIMITS, Epochs, outcomes, table_space

ROOT = Path(__file__).parents[2]

# argv: folder, workers, number of trials, trial and epoch to misbehave in, signals to itself
DRIVER = """
import os, pathlib, sys, time
from bsconv_nas.api import search
from tests.processes import descendants, works
from tests.searches import LIMITS, Epochs, table_space
folder, workers, trials, trial, epoch, *numbers = pathlib.Path(sys.argv[1]), *map(int, sys.argv[2:])
driver = os.getpid()
def on_epoch(job, now):
    if job.number == trial and now == epoch:
        below = filter(works, descendants(driver))
        (folder / "descendants").write_text("".join(f"{p.number} {p.begin}\\n" for p in below))
        for number in numbers:
            os.kill(driver, number)
        time.sleep(5 if workers else 0)  # until the driver has noticed
if __name__ == "__main__":
    study = search(table_space(), Epochs(3, on_epoch), LIMITS, "tpe", trials, workers, folder=folder)
    print(len(study.records), len(study.unfinished()))
"""


def drive(folder: Path, workers: int, trials: int, at: tuple[int, int] = (-1, 0), *numbers: int) -> tuple[int, str]:
    command = [sys.executable, "-c", DRIVER, str(folder), *map(str, (workers, trials, *at, *numbers))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    # Not a pipe: programs of Ray inherit it, and some take a minute to end after their driver.
    with TemporaryFile("w+") as output:
        done = subprocess.run(
            command, stdout=output, stderr=output, cwd=ROOT, env=environment, timeout=200, check=False
        )
        output.seek(0)
        return done.returncode, output.read()


def opened(folder: Path) -> Study:
    from bsconv_nas.study.storage import open_storage, sqlite_url

    return Study.load(open_storage(sqlite_url(folder / "study.db")), "table", folder)


@pytest.mark.parametrize("at", [(0, 1), (12, 3), pytest.param((4, 2), marks=pytest.mark.long)])
def test_killed_and_continued_gives_the_trials_of_an_unkilled_search(tmp_path: Path, at: tuple[int, int]) -> None:
    expected = search(table_space(), Epochs(3), LIMITS, "tpe", 14)
    code, _ = drive(tmp_path, 0, 14, at, signal.SIGKILL)
    assert code == -signal.SIGKILL
    left = opened(tmp_path)
    assert left.unfinished() == [at[0]]
    assert [record.number for record in left.records] == list(range(at[0]))
    code, output = drive(tmp_path, 0, 14)
    assert (code, output.split()) == (0, ["14", "0"]), output
    study = opened(tmp_path)
    assert outcomes(study.records) == outcomes(expected.records)
    resumed = next(record for record in study.records if record.number == at[0])
    assert resumed.curve[-1].metrics["resumed_at"] == at[1] - 1


def test_a_killed_driver_with_workers_is_continued(tmp_path: Path) -> None:
    code, _ = drive(tmp_path, 2, 8, (4, 2), signal.SIGKILL)
    assert code == -signal.SIGKILL
    left = opened(tmp_path)
    kept, orphans = outcomes(left.records), left.unfinished()
    assert 4 in orphans
    assert kept
    code, output = drive(tmp_path, 2, 8)
    assert (code, output.split()[-2:]) == (0, ["8", "0"]), output
    study = opened(tmp_path)
    assert sorted(record.number for record in study.records) == list(range(8))
    assert {record.state for record in study.records} == {"complete"}
    assert set(kept) <= set(outcomes(study.records))
    assert left_alive(tmp_path) == set()
    assert not list((tmp_path / "checkpoints").iterdir()), "nobody of the killed search writes any more"


def left_alive(folder: Path) -> set[Process]:
    """Processes that a killed driver left and that still work, after a while that is long enough to notice."""
    lines = (folder / "descendants").read_text().splitlines()
    found = {Process(int(number), begin) for number, begin in map(str.split, lines)}
    assert len(found) >= 3, "the two programs of Ray, and the worker that killed the driver"
    end = time.monotonic() + 120
    while (found := alive(found)) and time.monotonic() < end:
        time.sleep(0.2)
    return found


@pytest.mark.parametrize(("workers", "number"), [(0, signal.SIGINT), (0, signal.SIGTERM), (2, signal.SIGTERM)])
def test_an_interrupted_search_ends_cleanly_and_is_resumable(tmp_path: Path, workers: int, number: int) -> None:
    code, output = drive(tmp_path, workers, 6, (2, 2), number)
    finished, running = map(int, output.split()[-2:])
    assert code == 0, output
    assert finished < 6
    assert running >= 1
    code, output = drive(tmp_path, 0, 6)
    assert (code, output.split()) == (0, ["6", "0"]), output


def test_a_second_interrupt_ends_at_once_and_the_search_is_resumable(tmp_path: Path) -> None:
    code, output = drive(tmp_path, 0, 6, (2, 2), signal.SIGINT, signal.SIGINT)
    assert code == -signal.SIGINT
    assert "KeyboardInterrupt" in output
    assert (len(opened(tmp_path).records), opened(tmp_path).unfinished()) == (2, [2])
    code, output = drive(tmp_path, 0, 6)
    assert (code, output.split()) == (0, ["6", "0"]), output


def test_a_second_driver_is_refused(tmp_path: Path) -> None:
    from bsconv_nas.study.lease import Lease

    with Lease(tmp_path), pytest.raises(StudyError, match=f"being searched by process {os.getpid()}"):
        search(table_space(), Epochs(1), LIMITS, trials=1, folder=tmp_path)


def test_the_time_limit_ends_a_search(tmp_path: Path) -> None:
    study = search(table_space(), Epochs(3), LIMITS, trials=5, folder=tmp_path, options=SearchOptions(seconds=0))
    assert study.records == []
    hour = SearchOptions(seconds=3600)
    assert len(search(table_space(), Epochs(3), LIMITS, trials=5, folder=tmp_path, options=hour).records) == 5
