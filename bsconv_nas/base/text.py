"""Names inside one-line messages: printable, shortened lists, the nearest known one."""

import difflib
from collections.abc import Iterable, Sequence

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


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """End of an error message for an unknown name: the nearest known one, or all of them."""
    choices = sorted(known)
    nearest = difflib.get_close_matches(name, choices, n=1)
    if nearest:
        return f"did you mean {nearest[0]!r}? (known: {', '.join(choices)})"
    return f"known: {', '.join(choices)}"
