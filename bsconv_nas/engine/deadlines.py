"""How long an epoch may take before its worker is taken to hang."""

_PATIENCE = 20  # times the slowest epoch seen: machines are shared, disks are busy
_LEAST = 300.0
_UNKNOWN = 6 * 3600.0  # before any epoch has been seen


class EpochDeadlines:
    """Limits on the seconds of an epoch, from the epochs seen so far.

    Args:
        fixed: limit set by the user, in seconds; None: `_PATIENCE` times the slowest epoch seen, more for networks
            that cost more than any seen, and never less than `_LEAST`.
    """

    def __init__(self, fixed: float | None = None) -> None:
        self._fixed = fixed
        self._slowest = 0.0
        self._largest = 0.0

    def saw(self, cost: float, seconds: float) -> None:
        """Learn from an epoch that ended."""
        self._slowest = max(self._slowest, seconds)
        self._largest = max(self._largest, cost)

    def limit(self, cost: float) -> float:
        """Seconds that an epoch of a network of that cost may take."""
        if self._fixed is not None:
            return self._fixed
        if self._slowest == 0:
            return _UNKNOWN
        growth = max(1.0, cost / self._largest) if self._largest > 0 else 1.0
        return max(_LEAST, _PATIENCE * growth * self._slowest)
