"""A long search whose workers, nodes and drivers are killed at random. `python -m tests.chaos.soak FOLDER TRIALS SEED`

With `--nodes`, workers are on two nodes of a cluster (raylets on this machine) that are lost and replaced; otherwise
each driver starts a Ray of its own. Drivers are killed in the last third only, so that the first lives long enough to
see whether its memory and its open files grow. What happened is printed as JSON.
"""

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.invariants import check_end, check_middle
from tests.processes import Process, alive, descendants, open_files, resident_mb, trains

ROOT = Path(__file__).parents[2]
WORKERS = 2
EPOCH_SECONDS = 0.5
BETWEEN = (3.0, 12.0)  # seconds from one kill to the next; a trial that dies again and again waits longer than that


@dataclass
class Story:
    """What happened in a soak; memory in MB and open files of the first driver: early, and at the end of its life."""

    seconds: float = 0.0
    kills: Counter[str] = field(default_factory=Counter[str])
    memory_mb: list[float] = field(default_factory=list[float])
    open_files: list[int] = field(default_factory=list[int])
    left_over: int = 0


class Cluster:
    """A head without cores, and nodes with one core each."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster as RayCluster

        self._cluster = RayCluster()
        self._add(num_cpus=0, include_dashboard=False)
        for _ in range(WORKERS):
            self._add(num_cpus=1)

    @property
    def address(self) -> str:
        return self._cluster.address

    def replace_one(self, rng: random.Random) -> None:
        """Lose a node, with all its processes, and have another join."""
        self._cluster.remove_node(rng.choice(list(self._cluster.worker_nodes)), allow_graceful=False)
        self._add(num_cpus=1)

    def workers(self) -> set[Process]:
        return descendants(os.getpid())

    def end(self) -> None:
        self._cluster.shutdown()

    def _add(self, **given: Any) -> None:
        self._cluster.add_node(wait=False, object_store_memory=100_000_000, **given)


@contextmanager
def driver(folder: Path, trials: int, cluster: Cluster | None) -> Generator[subprocess.Popen[bytes]]:
    """A driver in a process of its own, which does not survive the block."""
    given = [str(folder), str(trials), str(WORKERS), "random", str(EPOCH_SECONDS), cluster.address if cluster else ""]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-m", "tests.chaos.driver", *given], cwd=ROOT, env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def completed(folder: Path) -> int:
    """How many trials are complete."""
    with (
        suppress(sqlite3.OperationalError),
        closing(sqlite3.connect(f"file:{folder}/study.db?mode=ro", uri=True)) as db,
    ):
        return db.execute("SELECT COUNT(*) FROM trials WHERE state = 'COMPLETE'").fetchone()[0]
    return 0


def kill_a_worker(below: set[Process], rng: random.Random) -> bool:
    """Kill one of the workers that train; whether there was one."""
    training = sorted(filter(trains, below))
    if not training:
        return False
    with suppress(ProcessLookupError):
        os.kill(rng.choice(training).number, signal.SIGKILL)
    return True


class Soak:
    """Kills, and remembers what it killed."""

    def __init__(self, folder: Path, trials: int, rng: random.Random, cluster: Cluster | None) -> None:
        self.folder, self.trials, self.rng, self.cluster = folder, trials, rng, cluster
        self.story = Story()
        self._first = trials // 8  # complete ones before anything is killed, and before memory is compared
        self._complete = set[int]()
        self._left = set[Process]()

    def run(self) -> Story:
        begin = time.monotonic()
        while not self._life():
            self._complete = check_middle(self.folder, self._complete)
        self.story.seconds = round(time.monotonic() - begin)
        check_end(self.folder, self.trials)
        self.story.left_over = len(_after_a_while(self._left))
        return self.story

    def _life(self) -> bool:
        """One life of a driver; whether it came to its end."""
        with driver(self.folder, self.trials, self.cluster) as process:
            while True:
                with suppress(subprocess.TimeoutExpired):
                    code = process.wait(self.rng.uniform(*BETWEEN))
                    assert code == 0, "the search failed"
                    return True
                done = completed(self.folder)
                self._look(process.pid, done)
                if done >= self._first and self._kill(process, done):
                    return False

    def _look(self, number: int, done: int) -> None:
        if self.story.kills["driver"]:
            return
        now = round(resident_mb(number), 1), open_files(number)
        if done < self._first:
            self.story.memory_mb, self.story.open_files = [now[0]], [now[1]]
        else:
            self.story.memory_mb[1:], self.story.open_files[1:] = [now[0]], [now[1]]

    def _kill(self, process: subprocess.Popen[bytes], done: int) -> bool:
        """Kill something; whether it was the driver."""
        chance = self.rng.random()
        if chance < 0.2 and done >= self.trials * 2 // 3:
            self._left |= descendants(process.pid)
            process.kill()
            self.story.kills["driver"] += 1
            return True
        if self.cluster and chance > 0.8:
            self.cluster.replace_one(self.rng)
            self.story.kills["node"] += 1
        elif kill_a_worker(self.cluster.workers() if self.cluster else descendants(process.pid), self.rng):
            self.story.kills["worker"] += 1
        return False


def _after_a_while(processes: set[Process]) -> set[Process]:
    """What is still there of processes that are to end."""
    end = time.monotonic() + 120
    while (processes := alive(processes)) and time.monotonic() < end:
        time.sleep(0.2)
    return processes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("trials", type=int)
    parser.add_argument("seed", type=int)
    parser.add_argument("--nodes", action="store_true")
    options = parser.parse_args()
    if options.nodes:
        import bsconv_nas.executors.ray_tune  # noqa: F401  sets Ray's environment
    cluster = Cluster() if options.nodes else None
    try:
        story = Soak(options.folder, options.trials, random.Random(options.seed), cluster).run()
    finally:
        if cluster:
            cluster.end()
    print(json.dumps(vars(story)))  # noqa: T201


if __name__ == "__main__":
    main()
