"""Whether a path is on a network file system, where SQLite's locks cannot be relied on."""

import re
from pathlib import Path

_NETWORK = re.compile(r"nfs|cifs|smb|lustre|gpfs|beegfs|ceph|gluster|afs|9p|sshfs|wekafs|glusterfs")
_MOUNTS = Path("/proc/self/mountinfo")


def network_file_system(path: Path, mounts: str | None = None) -> str | None:
    """Type of the network file system that a path is on, such as "nfs4"; None for a local one.

    `mounts` is text as in /proc/self/mountinfo; None: that of this process.
    """
    try:
        text = mounts if mounts is not None else _MOUNTS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    place, found = path.resolve(), ""
    best = -1
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or not kind:
            continue
        point = Path(re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), fields[4]))
        if place.is_relative_to(point) and len(point.parts) >= best:  # of equal ones the later covers the earlier
            best, found = len(point.parts), kind[0]
    return found if _NETWORK.search(found) else None
