"""Several raylets on this machine as the nodes of a cluster, of which one is lost."""

import logging
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

    return search(table_space(), evaluator, LIMITS, trials=trials, folder=folder, executor=RayExecutor(2))


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
