"""The front of a study's trials, from scratch or kept up to date."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

from bsconv_nas.base.limits import Limits
from bsconv_nas.pareto import front_indices
from bsconv_nas.study.objective import DEFAULT_OBJECTIVE
from bsconv_nas.study.records import TrialRecord


def front_of(records: Sequence[TrialRecord], limits: Limits, objective: str = DEFAULT_OBJECTIVE) -> list[TrialRecord]:
    """Complete trials within the limits that no other dominates, by rising `objective`; of equal ones the first."""
    complete = [r for r in records if r.top1 is not None and limits.allow(r.cost)]
    chosen = front_indices([r.cost[objective] for r in complete], [r.top1 or 0.0 for r in complete])
    return [complete[i] for i in chosen]


class Front:
    """A front that trials are added to in order of completion; the same as `front_of` of all of them.

    Adding takes time in proportion to the front, not to the study.
    """

    def __init__(self, limits: Limits, records: Iterable[TrialRecord] = (), objective: str = DEFAULT_OBJECTIVE) -> None:
        self._limits = limits
        self._objective = objective
        self.members = front_of(list(records), limits, objective)

    def add(self, record: TrialRecord) -> list[TrialRecord]:
        """Take a trial in if it belongs to the front; the trials that leave it, or the trial itself."""
        top1 = record.top1
        if top1 is None or not self._limits.allow(record.cost):
            return [record]
        costs = [member.cost[self._objective] for member in self.members]
        cost = record.cost[self._objective]
        before = bisect_right(costs, cost)
        if before and _top1(self.members[before - 1]) >= top1:
            return [record]
        first = last = bisect_left(costs, cost)
        while last < len(self.members) and _top1(self.members[last]) <= top1:
            last += 1
        gone = self.members[first:last]
        self.members = [*self.members[:first], record, *self.members[last:]]  # a new list: another thread may show it
        return gone


def _top1(record: TrialRecord) -> float:
    assert record.top1 is not None, "members of a front are complete"
    return record.top1
