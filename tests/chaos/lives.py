"""A driver that is killed at random instants, again and again. `python -m tests.chaos.lives FOLDER KILLS SEED SAMPLER`

Each life is a fork of this process, so that it begins within milliseconds and kills fall into the search itself, also
into its writes. After so many kills, or when the search is done, a last life runs to the end.
"""

import gc
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.driver import live
from tests.chaos.invariants import check_end, check_middle

TRIALS = 40
_SECONDS = 0.02  # of an epoch
_ALL_LIVES = 6.0  # seconds, shared by the kills: a search takes about half of it


def one_life(folder: Path, sampler: str, begin: bool, seconds: float | None) -> bool:
    """Search until done or killed; whether it was done.

    It is killed `seconds` after its begin, or after it has opened the study, which takes long on a busy machine.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            live(folder, TRIALS, 0, sampler, _SECONDS, on_open=lambda: os.close(writer))
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    if seconds is not None:
        if not begin:
            os.read(reader, 1)  # nothing comes; it ends when the other end is closed
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    os.close(reader)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == 0, "the search failed"
    return True


def warm_up() -> None:
    """Import what a search imports, so that the forks need not."""
    with tempfile.TemporaryDirectory() as folder:
        live(Path(folder), 12, 0, "known-cost")
        live(Path(folder) / "other", 12, 0, "tpe")
    gc.collect()  # closes databases, whose connections may not be shared with a fork


def main(folder: Path, kills: int, seed: int, sampler: str) -> None:
    rng, complete, killed = random.Random(seed), set[int](), 0
    warm_up()
    while killed < kills:
        if one_life(folder, sampler, rng.random() < 0.25, rng.uniform(0, _ALL_LIVES / kills)):
            break
        killed += 1
        complete = check_middle(folder, complete)
    assert one_life(folder, sampler, True, None)
    check_end(folder, TRIALS)
    print(killed, len(complete))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
