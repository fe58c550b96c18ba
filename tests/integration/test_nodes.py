"""Several raylets on this machine as the nodes of a cluster, of which one is lost and one joins."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bsconv_nas.api import search
from bsconv_nas.engine.options import SearchOptions
from bsconv_nas.evaluation import Job
from bsconv_nas.study import Study
from tests.processes import descendants
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

    def join(self) -> None:
        """Add a node with one core."""
        self._add(num_cpus=1)

    def _add(self, tries: int = 5, **given: Any) -> None:
        # Ray gives a node 30 seconds to start, which a busy machine can take.
        try:
            self.cluster.add_node(wait=False, object_store_memory=100_000_000, **given)
        except Exception as error:
            if tries == 1 or "timed out during startup" not in str(error):
                raise
            self._add(tries - 1, **given)

    def kill(self, node_id: str) -> None:
        """Kill a node at once, with all its processes."""
        self.cluster.remove_node(self._find(node_id), allow_graceful=False)

    def freeze(self, node_id: str) -> None:
        """Stop all processes of a node, so that it answers no more: as a machine whose network fails."""
        (raylet,) = self._find(node_id).all_processes["raylet"]
        for number in (raylet.process.pid, *(below.number for below in descendants(raylet.process.pid))):
            os.kill(number, signal.SIGSTOP)

    def _find(self, node_id: str) -> Any:
        (node,) = [node for node in self.cluster.worker_nodes if node.node_id == node_id]
        return node


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Generator[Nodes]:
    from bsconv_nas.executors import ray_tune  # sets Ray's environment

    ray = ray_tune.ray
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    started = Nodes()
    try:
        ray.init(address=started.cluster.address, log_to_driver=False, logging_level=logging.ERROR)
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


def search_on_ray(evaluator: Epochs, trials: int, folder: Path) -> Study:
    from bsconv_nas.executors.ray_tune import RayExecutor

    options = SearchOptions(executor=RayExecutor(2))
    return search(table_space(), evaluator, LIMITS, trials=trials, folder=folder, options=options)


def all_complete(study: Study, trials: int) -> bool:
    return {record.number: record.state for record in study.records} == dict.fromkeys(range(trials), "complete")


@pytest.mark.parametrize(
    ("how", "reason"), [(Nodes.kill, "contact with its node was lost"), (Nodes.freeze, "its node was lost")]
)
def test_a_trial_of_a_lost_node_goes_on_from_its_checkpoint_on_another(
    nodes: Nodes, tmp_path: Path, caplog: pytest.LogCaptureFixture, how: Callable[[Nodes, str], None], reason: str
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
        how(nodes, arrived.read_text())

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
    assert f"trial 1: its worker died ({reason}); trying again" in caplog.text
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

    # Ray starts nodes in the main thread only.
    with ThreadPoolExecutor(1) as thread:
        searching = thread.submit(search_on_ray, Epochs(2, on_epoch), 5, tmp_path / "study")
        wait_until(lambda: list(seen.iterdir()) or searching.done(), "the first trial")
        nodes.join()
        study = searching.result()
    assert all_complete(study, 5)
