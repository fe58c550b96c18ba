"""Several raylets on this machine as the nodes of a cluster: one is lost, one joins, and the driver is killed."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from bsconv_nas.api import search
from bsconv_nas.evaluation import Job
from bsconv_nas.study import Study
from tests.searches import LIMITS, Epochs, Once, table_space

ROOT = Path(__file__).parents[2]
DEADLINE = 180.0  # seconds, for whatever takes a moment on an idle machine

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


def wait_until(holds: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < end, f"waited {DEADLINE:g} s in vain for {what}"
        time.sleep(0.1)


class Nodes:
    """A cluster whose head, where the driver is, trains nothing."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self.cluster = Cluster()
        self._add(num_cpus=0, include_dashboard=False)

    def join(self, **resources: float) -> None:
        """Add a node with one core."""
        self._add(num_cpus=1, **resources)

    def _add(self, **given: Any) -> None:
        self.cluster.add_node(wait=False, object_store_memory=100_000_000, **given)

    def lose(self, node_id: str) -> None:
        """Kill a node at once, with all its processes."""
        (node,) = [node for node in self.cluster.worker_nodes if node.node_id == node_id]
        self.cluster.remove_node(node, allow_graceful=False)


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Generator[Nodes]:
    from bsconv_nas.executors import ray_tune  # sets Ray's environment

    ray = ray_tune.ray
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    started = Nodes()
    try:
        ray.init(address=started.cluster.address, log_to_driver=False, logging_level="ERROR")
        yield started
    finally:
        ray.shutdown()
        started.cluster.shutdown()


def wait_for_cores(count: int) -> None:
    import ray

    wait_until(lambda: ray.cluster_resources().get("CPU", 0) == count, f"{count} cores")


def node_here() -> str:
    """In a worker: which node it is on."""
    import ray

    return ray.get_runtime_context().get_node_id()


def search_on_ray(evaluator: Epochs, trials: int, folder: Path, **resources: float) -> Study:
    from bsconv_nas.executors.ray_tune import RayExecutor

    return search(table_space(), evaluator, LIMITS, trials=trials, folder=folder, executor=RayExecutor(2, **resources))


def all_complete(study: Study, trials: int) -> bool:
    return {record.number: record.state for record in study.records} == dict.fromkeys(range(trials), "complete")


def test_a_trial_of_a_lost_node_goes_on_from_its_checkpoint_on_another(
    nodes: Nodes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nodes.join()
    nodes.join()
    wait_for_cores(2)
    once, arrived = Once(tmp_path), tmp_path / "arrived"

    def on_epoch(job: Job, epoch: int) -> None:
        if job.number == 1:
            (tmp_path / f"epoch-{epoch}").write_text(node_here())
            if epoch == 3 and once("first"):
                arrived.write_text(node_here())
                time.sleep(2 * DEADLINE)  # it is killed here

    def lose() -> None:
        wait_until(lambda: arrived.exists() and arrived.read_text(), "trial 1 to come to its third epoch")
        nodes.lose(arrived.read_text())

    loser = threading.Thread(target=lose)
    loser.start()
    with caplog.at_level(logging.WARNING, "bsconv_nas"):
        study = search_on_ray(Epochs(4, on_epoch), 6, tmp_path / "study")
    loser.join()
    assert all_complete(study, 6)
    (record,) = [record for record in study.records if record.number == 1]
    assert record.curve[-1].metrics["resumed_at"] == 2
    places = [(tmp_path / f"epoch-{epoch}").read_text() for epoch in (1, 2, 3, 4)]
    lost = arrived.read_text()
    assert places[:2] == [lost, lost]
    assert places[2] == places[3] != lost
    assert "trial 1: its worker died" in caplog.text
    assert not list((tmp_path / "study/checkpoints").iterdir())


def test_a_node_that_joins_in_mid_search_is_used(nodes: Nodes, tmp_path: Path) -> None:
    nodes.join()
    wait_for_cores(1)
    seen = tmp_path / "nodes"
    seen.mkdir()

    def on_epoch(job: Job, epoch: int) -> None:
        (seen / node_here()).touch()
        if job.number == 0:
            wait_until(lambda: len(list(seen.iterdir())) == 2, "a trial on the other node")

    def join() -> None:
        wait_until(lambda: list(seen.iterdir()), "the first trial")
        nodes.join()

    joiner = threading.Thread(target=join)
    joiner.start()
    study = search_on_ray(Epochs(2, on_epoch), 5, tmp_path / "study")
    joiner.join()
    assert all_complete(study, 5)


def test_trials_share_the_gpus_of_a_node_by_fractions(nodes: Nodes, tmp_path: Path) -> None:
    nodes.join(num_gpus=1)
    wait_for_cores(1)

    def on_epoch(job: Job, epoch: int) -> None:
        if job.number < 2:
            (tmp_path / f"{job.number}").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", ""))
            both = (tmp_path / "0", tmp_path / "1")
            wait_until(lambda: all(path.exists() for path in both), "two trials at a time on one GPU")

    study = search_on_ray(Epochs(2, on_epoch), 4, tmp_path / "study", cpus_per_trial=0.5, gpus_per_trial=0.5)
    assert all_complete(study, 4)
    assert (tmp_path / "0").read_text() == (tmp_path / "1").read_text() == "0"


def processes() -> dict[int, tuple[int, str]]:
    """Running processes by number: the parent's, and when each began (numbers are given again)."""
    found = dict[int, tuple[int, str]]()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if fields[0] != "Z":
            found[int(path.parent.name)] = (int(fields[1]), fields[19])
    return found


def descendants(root: int) -> set[tuple[int, str]]:
    """Number and begin of all processes below one."""
    running = processes()
    below, level = set[int](), {root}
    while level:
        level = {number for number, (parent, _) in running.items() if parent in level}
        below |= level
    return {(number, running[number][1]) for number in below}


def trains(number: int) -> bool:
    """Whether a process is a worker of Ray that trains."""
    try:
        command = Path(f"/proc/{number}/cmdline").read_bytes()
    except OSError:
        return False
    return command.startswith(b"ray::") and not command.startswith(b"ray::IDLE")


def test_the_processes_of_a_killed_driver_go_away(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.chaos.driver", str(tmp_path), "4", "2", "random", str(2 * DEADLINE)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=ROOT, env=environment) as driver:
        try:
            wait_until(lambda: sum(trains(number) for number, _ in descendants(driver.pid)) >= 2, "two workers")
            left = descendants(driver.pid)
        finally:
            driver.send_signal(signal.SIGKILL)
    assert len(left) > 4, "two workers, and programs of Ray"

    def gone() -> bool:
        running = processes()
        return not any(number in running and running[number][1] == begin for number, begin in left)

    wait_until(gone, "the processes of a killed driver to end")
