"""A worker that takes all memory: Ray's memory monitor kills it before the kernel kills something else."""

import logging
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from bsconv_nas.evaluation import Job
from tests.searches import Epochs, new_search, new_study, table_space

ROOT = Path(__file__).parents[2]
ROOM = 2_500_000_000  # bytes that may be taken beside what is in use, before the monitor acts
MOST = 3 * ROOM  # of the greedy network, so that a machine without a monitor survives
CHUNK = 20_000_000

pytestmark = [pytest.mark.long, pytest.mark.timeout(280)]


@pytest.fixture
def watched_ray(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """A Ray that kills workers once `ROOM` more bytes of memory are in use."""
    from bsconv_nas.executors import ray_tune

    ray = ray_tune.ray
    from ray._common.utils import get_system_memory
    from ray._private.utils import get_used_memory

    total, used = get_system_memory(), get_used_memory()
    if total - used < 1.5 * MOST:
        pytest.skip(f"needs {1.5 * MOST / 1e9:.0f} GB of free memory")
    monkeypatch.setenv("RAY_memory_usage_threshold", f"{(used + ROOM) / total:.4f}")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "100")
    ray.init(
        address="local",
        num_cpus=1,
        object_store_memory=100_000_000,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env={"env_vars": {"PYTHONPATH": str(ROOT)}},
    )
    yield
    ray.shutdown()


def take_all_memory() -> None:
    taken: list[bytes] = []
    while len(taken) * CHUNK < MOST:
        taken.append(b"x" * CHUNK)
        time.sleep(0.02)  # the monitor looks ten times a second
    time.sleep(60)


@pytest.mark.usefixtures("watched_ray")
def test_a_network_that_takes_all_memory_fails_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from bsconv_nas.executors.ray_tune import RayExecutor

    def on_epoch(job: Job, epoch: int) -> None:
        if job.number == 1:
            take_all_memory()

    study = new_study(table_space(), tmp_path)
    with caplog.at_level(logging.WARNING, "bsconv_nas"):
        RayExecutor(1, max_retries=1).run(new_search(table_space(), study, trials=4), Epochs(2, on_epoch))
    states = {record.number: record.state for record in study.records}
    assert states == {0: "complete", 1: "failed", 2: "complete", 3: "complete"}
    (failed,) = [record for record in study.records if record.number == 1]
    assert failed.reason == "its worker died 2 times: out of memory: Ray ended it to protect the machine"
    assert "trial 1: its worker died (out of memory" in caplog.text
