"""A front kept up to date is the front computed from scratch."""

from hypothesis import given
from hypothesis import strategies as st

from bsconv_nas.base.limits import Limits
from bsconv_nas.study import Front, TrialRecord, TrialState, front_of

POINTS = st.lists(st.tuples(st.integers(1, 12), st.none() | st.integers(0, 10)), max_size=40)


def record(number: int, cost: int, top1: int | None) -> TrialRecord:
    state = TrialState.FAILED if top1 is None else TrialState.COMPLETE
    accuracy = None if top1 is None else top1 / 10
    return TrialRecord(number, state, (cost,), str(number), {"macs": float(cost)}, accuracy, 0)


@given(POINTS, st.integers(0, 40))
def test_adding_gives_the_front_from_scratch(points: list[tuple[int, int | None]], before: int) -> None:
    limits = Limits({"macs": 10.0})
    records = [record(number, *point) for number, point in enumerate(points)]
    front = Front(limits, records[:before])
    kept = {member.number for member in front.members}
    for new in records[before:]:
        gone = {member.number for member in front.add(new)}
        assert gone <= kept | {new.number}
        kept = (kept | {new.number}) - gone
        assert kept == {member.number for member in front.members}
    assert front.members == front_of(records, limits)
