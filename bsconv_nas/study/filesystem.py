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
    place, file_system = path.resolve(), ""
    best = -1
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields, mount_type = before.split(), after.split()
        if len(fields) < 5 or not mount_type:
            continue
        point = Path(re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), fields[4]))
        if place.is_relative_to(point) and len(point.parts) >= best:  # the later of two equal mounts covers the earlier
            best, file_system = len(point.parts), mount_type[0]
    return file_system if _NETWORK.search(file_system) else None
