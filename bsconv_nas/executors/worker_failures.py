"""Workers that die: how long to wait before the next try, and the reason to keep.

A worker that is to die says why in a note beside its checkpoint: `watched` writes it when an epoch takes too long, from
a thread that even a loop in C cannot hold up. Of a worker that is killed from outside, only Ray knows something.
"""

import faulthandler
import os
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from bsconv_nas.evaluation import Job

_LONGEST_PAUSE = 30.0
_LONGEST_NOTE = 4000
_SIGNS = (  # what Ray says of a dead worker, and what it means
    ("OutOfMemory", "out of memory: Ray ended it to protect the machine"),
    ("low on memory", "out of memory: Ray ended it to protect the machine"),
    ("node has died", "its node was lost"),  # Ray's message when a node stops answering
    ("node was terminated", "its node was lost"),
    ("NodeDiedError", "its node was lost"),
    ("temporarily unavailable", "contact with its node was lost"),  # Ray's first message when a node is killed
)
_KILLED = "killed or crashed (out of memory?)"


def pause_before(attempt: int) -> float:
    """Seconds to wait before a job is begun for the `attempt`-th time again: 1, 2, 4 and so on; memory may get free."""
    return min(2.0 ** (attempt - 1), _LONGEST_PAUSE) if attempt > 0 else 0.0


@contextmanager
def watched(job: Job) -> Generator[None]:
    """Kill this process when the block takes longer than the job's deadline; the note says where it was."""
    if job.deadline is None:
        yield
        return
    note = note_path(job)
    with suppress(OSError):
        if note is not None:
            note.parent.mkdir(parents=True, exist_ok=True)
    with open(note if note is not None else os.devnull, "w", encoding="utf-8") as file:
        faulthandler.dump_traceback_later(job.deadline, exit=True, file=file)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            if note is not None:
                note.unlink(missing_ok=True)


def end_worker(job: Job, reason: str) -> NoReturn:
    """End this process because it is of no more use; the job is begun again in another one."""
    note = note_path(job)
    if note is not None:
        with suppress(OSError):
            note.write_text(reason, encoding="utf-8")
    sys.stderr.flush()
    os._exit(1)


def failure_reason(job: Job, ray_said: str) -> str:
    """Why a worker died, in one line and what it left; `ray_said` is what Ray wrote of it. Takes the note away."""
    note = _take_note(job)
    if note.startswith("Timeout"):  # how a report of faulthandler begins
        return f"no result for {job.deadline or 0:g} s\n{note}"
    if note:
        return note
    for sign, meaning in _SIGNS:
        if sign in ray_said:
            return meaning
    last = ray_said.strip().rpartition("\n")[2]
    return last if re.match(r"[\w.]+(Error|Exception)\b", last) else _KILLED  # it raised an exception


def ray_message(error_file: str | None) -> str:
    """What Ray wrote of the last failure of a trial's worker; empty where it wrote nothing."""
    try:
        text = Path(error_file or "").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return text.rpartition("Failure # ")[2]


def _take_note(job: Job) -> str:
    note = note_path(job)
    with suppress(OSError):
        if note is not None:
            text = note.read_text(encoding="utf-8", errors="replace")[:_LONGEST_NOTE]
            note.unlink()
            return text.strip()
    return ""


def note_path(job: Job) -> Path | None:
    """Where a worker that dies says why; None where the study keeps no files."""
    return job.checkpoint.with_suffix(".failure") if job.checkpoint is not None else None
