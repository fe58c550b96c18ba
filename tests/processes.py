"""What other processes do, by /proc: a number alone names no process, since numbers are given again."""

from pathlib import Path
from typing import NamedTuple


class Process(NamedTuple):
    """A process and the clock tick of its begin."""

    number: int
    begin: str


def descendants(root: int) -> set[Process]:
    """All processes below one."""
    running = _running()
    below, level = set[int](), {root}
    while level:
        level = {number for number, (parent, _) in running.items() if parent in level}
        below |= level
    return {Process(number, running[number][1]) for number in below}


def alive(processes: set[Process]) -> set[Process]:
    """Those that have not ended."""
    running = _running()
    return {process for process in processes if running.get(process.number, (0, ""))[1] == process.begin}


def trains(process: Process) -> bool:
    """Whether it is a worker of Ray Tune."""
    return _command(process).startswith("ray::") and "Trainable" in _command(process)


def works(process: Process) -> bool:
    """Whether it is a worker, or one of the two programs without which there are none."""
    return trains(process) or Path(_command(process).split(" ")[0]).name in ("raylet", "gcs_server")


def resident_mb(number: int) -> float:
    """Memory of a process; 0 when it is no more."""
    lines = _read(number, "status").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def open_files(number: int) -> int:
    """How many files a process has open; 0 when it is no more."""
    try:
        return len(list(Path(f"/proc/{number}/fd").iterdir()))
    except OSError:
        return 0


def _running() -> dict[int, tuple[int, str]]:
    """Running processes by number: the parent's, and the begin."""
    found = dict[int, tuple[int, str]]()
    for path in Path("/proc").glob("[0-9]*"):
        fields = _read(int(path.name), "stat").rpartition(")")[2].split()
        if fields and fields[0] != "Z":
            found[int(path.name)] = (int(fields[1]), fields[19])
    return found


def _command(process: Process) -> str:
    return _read(process.number, "cmdline").replace("\0", " ")


def _read(number: int, name: str) -> str:
    """A file of a process; empty when it has just ended."""
    try:
        return Path(f"/proc/{number}/{name}").read_text(errors="replace")
    except OSError:
        return ""
