"""One driver at a time, in real processes."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bsconv_nas.errors import StorageError, StudyError
from bsconv_nas.study.lease import Lease, is_searched

ROOT = Path(__file__).parents[2]
HOLD = "import sys, pathlib\nfrom bsconv_nas.study.lease import Lease\n"
HOLD += "lease = Lease(pathlib.Path(sys.argv[1]))\nprint('held', flush=True)\nsys.stdin.read()"


@contextmanager
def holder(folder: Path) -> Generator[subprocess.Popen[str]]:
    """Another process that holds the lease until its standard input is closed."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_driver_is_refused_with_the_first_ones_number(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        with pytest.raises(StudyError, match=rf"process {process.pid} on .*choose another --study"):
            Lease(tmp_path)
        assert is_searched(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_dead_driver_blocks_nobody(tmp_path: Path, number: int) -> None:
    with holder(tmp_path) as process:
        os.kill(process.pid, number)
        process.wait(30)
        with Lease(tmp_path):
            assert is_searched(tmp_path)
    assert not is_searched(tmp_path)


def test_released_leases_can_be_taken_again(tmp_path: Path) -> None:
    lease = Lease(tmp_path / "new" / "study")
    lease.release()
    lease.release()
    with Lease(tmp_path / "new" / "study"):
        pass


def test_looking_whether_a_study_is_searched_refuses_no_driver(tmp_path: Path) -> None:
    stop, refused = threading.Event(), list[Exception]()

    def look() -> None:
        while not stop.is_set():
            is_searched(tmp_path)

    watcher = threading.Thread(target=look)
    watcher.start()
    for _ in range(50):
        try:
            Lease(tmp_path).release()
        except StudyError as error:
            refused.append(error)
    stop.set()
    watcher.join()
    assert not refused


def test_a_driver_waits_for_somebody_who_only_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`is_searched` holds the lock while it looks, and on a busy machine it may be put aside for a while meanwhile."""
    (tmp_path / "driver.lock").touch()
    waits: list[float] = []
    with open(tmp_path / "driver.lock", encoding="utf-8") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)

        def sleep(seconds: float) -> None:
            waits.append(seconds)
            if sum(waits) >= 0.2:
                looking.close()

        monkeypatch.setattr("bsconv_nas.study.lease.time.sleep", sleep)
        Lease(tmp_path).release()
    assert 0.2 <= sum(waits) < 0.3


def test_a_driver_that_searches_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    with holder(tmp_path):
        monkeypatch.setattr("bsconv_nas.study.lease.time.sleep", waits.append)
        with pytest.raises(StudyError, match="is being searched by"):
            Lease(tmp_path)
    assert sum(waits) <= 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}'])
def test_a_damaged_lock_file_still_tells_of_another_process(tmp_path: Path, content: str) -> None:
    with holder(tmp_path):
        (tmp_path / "driver.lock").write_text(content)
        with pytest.raises(StudyError, match="another process"):
            Lease(tmp_path)


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "study").write_text("")
    with pytest.raises(StorageError, match=r"cannot write to .*deeper: Not a directory; .*--dir"):
        Lease(tmp_path / "study" / "deeper")


def test_no_lock_file_means_not_searched(tmp_path: Path) -> None:
    assert not is_searched(tmp_path)
    assert not list(tmp_path.iterdir())
