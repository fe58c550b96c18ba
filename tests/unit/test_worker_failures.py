"""Deadlines of epochs, and what a dead worker leaves of a reason."""

import subprocess
import sys
from pathlib import Path

import pytest

from bsconv_nas.api import search
from bsconv_nas.engine.deadlines import EpochDeadlines
from bsconv_nas.engine.options import SearchOptions
from bsconv_nas.errors import DeviceError, UsageError
from bsconv_nas.evaluation import EpochResult, Job
from bsconv_nas.executors.running import is_device_loss
from bsconv_nas.executors.worker_failures import end_worker, failure_reason, note_path, pause_before, watched
from bsconv_nas.spaces.genes import GeneSpace
from tests.searches import Epochs, new_search

ROOT = Path(__file__).parents[2]
HANGS = """
import sys, pathlib
from bsconv_nas.evaluation import Job
from bsconv_nas.executors.worker_failures import watched
from tests.searches import hang
job = Job(1, (), 0, checkpoint=pathlib.Path(sys.argv[1]), deadline=0.2)
with watched(job):
    hang()
"""


def job_in(folder: Path, deadline: float | None = 7) -> Job:
    return Job(1, (), 0, checkpoint=folder / "checkpoints" / "trial-00001.safetensors", deadline=deadline)


def test_a_process_that_hangs_ends_and_says_where(tmp_path: Path) -> None:
    job = job_in(tmp_path)
    done = subprocess.run([sys.executable, "-c", HANGS, str(job.checkpoint)], cwd=ROOT, check=False, timeout=120)
    assert done.returncode == 1
    reason = failure_reason(job, "The actor died unexpectedly")
    assert reason.startswith("no result for 7 s\nTimeout")
    assert "in hang" in reason
    note = note_path(job)
    assert note is not None
    assert not note.exists()


def test_in_time_nothing_is_left(tmp_path: Path) -> None:
    with watched(job_in(tmp_path)):
        pass
    assert list((tmp_path / "checkpoints").iterdir()) == []
    with watched(Job(1, (), 0, deadline=7)), watched(job_in(tmp_path / "other", None)):
        pass
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("ray_said", "reason"),
    [
        ("", "killed or crashed (out of memory?)"),
        ("The actor died unexpectedly before finishing this task.", "killed or crashed (out of memory?)"),
        ("ray.exceptions.OutOfMemoryError: Task was killed due to the node running low", "out of memory: Ray ended"),
        (
            "The actor died because its node has died. \n\tthe actor's node was terminated",
            "its node was lost",
        ),
        (
            "The actor is temporarily unavailable: RPC error",
            "contact with its node",
        ),
        (
            "The actor is dead because its worker process has died. killed by the OOM killer",
            "killed or",
        ),
        ("Traceback\n  File\nModuleNotFoundError: No module named 'x'\n", "ModuleNotFoundError: No module named 'x'"),
    ],
)
def test_what_ray_says_becomes_a_reason(tmp_path: Path, ray_said: str, reason: str) -> None:
    assert failure_reason(job_in(tmp_path), ray_said).startswith(reason)
    assert failure_reason(Job(1, (), 0), ray_said).startswith(reason)


def test_a_worker_killed_in_an_epoch_leaves_no_false_reason(tmp_path: Path) -> None:
    note = note_path(job_in(tmp_path))
    assert note is not None
    note.parent.mkdir()
    note.write_text("")  # as `watched` leaves it
    assert failure_reason(job_in(tmp_path), "").startswith("killed")


def test_a_useless_process_ends_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr("os._exit", leave)
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(SystemExit):
        end_worker(job_in(tmp_path), "the GPU is lost")
    assert failure_reason(job_in(tmp_path), "") == "the GPU is lost"


def test_pauses_grow_up_to_half_a_minute() -> None:
    assert [pause_before(attempt) for attempt in (0, 1, 2, 3, 9, 999)] == [0, 1, 2, 4, 30, 30]


def test_deadlines_follow_the_epochs_seen() -> None:
    deadlines = EpochDeadlines()
    assert deadlines.limit(1e6) == 6 * 3600
    deadlines.saw(1e6, 2.0)
    assert deadlines.limit(1e6) == 300
    deadlines.saw(2e6, 60.0)
    deadlines.saw(1e6, 30.0)
    assert deadlines.limit(1e6) == deadlines.limit(2e6) == 1200
    assert deadlines.limit(4e6) == 2400
    assert EpochDeadlines(5).limit(1e9) == 5


def test_a_search_learns_its_deadlines_also_from_earlier_runs(space: GeneSpace) -> None:
    first = new_search(space)
    job = first.next()
    assert job is not None
    assert job.deadline == 6 * 3600
    first.report(job.number, EpochResult(1, 1, 0.5, {"seconds": 100.0}))
    first.finish(job.number)
    for search_again in (first, new_search(space, first.study)):
        following = search_again.next()
        assert following is not None
        assert following.deadline is not None
        assert 2000 <= following.deadline < 6 * 3600


@pytest.mark.parametrize(("seconds", "workers"), [(0.0, 1), (5.0, 0)])
def test_a_deadline_without_workers_is_refused(space: GeneSpace, seconds: float, workers: int) -> None:
    options = SearchOptions(epoch_timeout=seconds)
    with pytest.raises(UsageError, match="epoch_timeout is"):
        search(space, lambda genotype: 0.5, trials=1, workers=workers, options=options)


def test_the_command_line_refuses_it_too() -> None:
    from bsconv_nas.plan import make_plan
    from bsconv_nas.study.settings import SearchSettings

    with pytest.raises(UsageError, match="--epoch-timeout needs workers that can be killed"):
        make_plan(SearchSettings(epoch_timeout="5m", workers=0))
    with pytest.raises(UsageError, match="--epoch-timeout"):
        make_plan(SearchSettings(epoch_timeout="soon", workers=1))


def test_losses_of_a_gpu_are_told_from_other_errors() -> None:
    assert is_device_loss(RuntimeError("CUDA error: an illegal memory access was encountered\nCompile with"))
    assert not is_device_loss(RuntimeError("CUDA error: out of memory"))
    assert not is_device_loss(ValueError("mat1 and mat2 shapes cannot be multiplied"))


def test_without_workers_the_loss_of_the_gpu_ends_the_search_and_fails_no_trial(space: GeneSpace) -> None:
    from bsconv_nas.executors.local import LocalExecutor

    def lose(job: Job, epoch: int) -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    run = new_search(space)
    with pytest.raises(DeviceError, match="the GPU is lost: CUDA error: device-side assert"):
        LocalExecutor().run(run, Epochs(1, lose))
    assert run.study.unfinished() == [0]
