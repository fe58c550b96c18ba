"""Names of files and classes inside one-line messages."""

from collections.abc import Sequence

_SHOWN = 5


def printable(name: str) -> str:
    """A name without line breaks or bytes that are not text, which file systems allow.

    >>> printable("a\\nb")
    'a\\\\nb'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in name)


def listed(names: Sequence[str]) -> str:
    """Up to five names, then how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(printable(name) for name in names[:_SHOWN]) + more
