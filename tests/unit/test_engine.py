"""The decisions of a search, taken without any executor."""

import time
from typing import Any

import pytest

from bsconv_nas.base.limits import Limits
from bsconv_nas.engine.search import Search, Verdict
from bsconv_nas.errors import UsageError
from bsconv_nas.evaluation import EpochResult
from bsconv_nas.executors.local import LocalExecutor
from bsconv_nas.samplers import make_sampler
from bsconv_nas.spaces.genes import GeneSpace
from bsconv_nas.study import TrialState
from tests.searches import LIMITS, Epochs, new_search, new_study


class Diary:
    """An observer that writes everything down."""

    def __init__(self) -> None:
        self.lines: list[Any] = []

    def started(self, record: Any, resumed: bool) -> None:
        self.lines.append(("resumed" if resumed else "started", record.number))

    def reported(self, record: Any, result: EpochResult) -> None:
        self.lines.append(("reported", record.number, result.epoch))

    def finished(self, record: Any) -> None:
        self.lines.append((str(record.state), record.number, record.top1, record.reason))

    def ended(self, reason: str | None) -> None:
        self.lines.append(("ended", reason))


def small_space(choices: int = 3) -> GeneSpace:
    return GeneSpace({"width": list(range(1, choices + 1))}, lambda g: {"macs": float(g[0])})  # type: ignore[arg-type]


def small_search(trials: int, choices: int = 3, limits: dict[str, float] | None = None) -> Search:
    space = small_space(choices)
    bounds = Limits(limits or {"macs": 2.0})
    return Search(new_study(space, limits=bounds), space, make_sampler("random", space, bounds, 0), trials)


def test_a_search_ends_with_its_number_of_trials(space: GeneSpace) -> None:
    search = new_search(space, trials=4)
    LocalExecutor().run(search, Epochs(2))
    assert [record.state for record in search.study.records] == [TrialState.COMPLETE] * 4
    assert search.next() is None
    assert search.ended_because is None


def test_trials_of_earlier_runs_count(space: GeneSpace) -> None:
    study = new_study(space)
    LocalExecutor().run(new_search(space, study, trials=3), Epochs(1))
    LocalExecutor().run(new_search(space, study, trials=5), Epochs(1))
    LocalExecutor().run(new_search(space, study, trials=2), Epochs(1))
    assert [record.number for record in study.records] == [0, 1, 2, 3, 4]


def test_failed_trials_count_and_the_search_goes_on(space: GeneSpace) -> None:
    def fail_on_second(job: Any, epoch: int) -> None:
        if job.number == 1:
            raise ValueError("no luck")

    search = new_search(space, trials=3)
    LocalExecutor().run(search, Epochs(2, fail_on_second))
    records = search.study.records
    assert [record.state for record in records] == ["complete", "failed", "complete"]
    assert (records[1].reason or "").startswith("ValueError: no luck\n")


def test_no_network_is_trained_twice_and_none_over_the_limits(space: GeneSpace) -> None:
    search = new_search(space, trials=40)
    LocalExecutor().run(search, Epochs(1))
    records = search.study.records
    assert len({record.identity for record in records}) == 40
    assert all(record.cost["macs"] <= LIMITS["macs"] for record in records)


def test_the_same_report_twice_does_no_harm(space: GeneSpace) -> None:
    diary = Diary()
    search = new_search(space, observer=diary)
    job = search.next()
    assert job is not None
    first, second = EpochResult(1, 3, 0.1), EpochResult(2, 3, 0.2)
    for result in (first, second, first, second):
        assert search.report(job.number, result) is Verdict.CONTINUE
    search.report(job.number, EpochResult(3, 3, 0.3))
    search.finish(job.number)
    (record,) = search.study.records
    assert [result.top1 for result in record.curve] == [0.1, 0.2, 0.3]
    assert record.top1 == 0.3
    assert diary.lines == [
        ("started", 0),
        *(("reported", 0, epoch) for epoch in (1, 2, 3)),
        ("complete", 0, 0.3, None),
    ]


def test_a_replayed_curve_is_not_reported_again(space: GeneSpace) -> None:
    study = new_study(space)
    search = new_search(space, study)
    job = search.next()
    assert job is not None
    search.report(job.number, EpochResult(1, 2, 0.1))

    diary = Diary()
    again = new_search(space, study, trials=1, observer=diary)
    resumed = again.next()
    assert resumed == job
    again.report(job.number, EpochResult(1, 2, 0.1))
    again.report(job.number, EpochResult(2, 2, 0.2))
    again.finish(job.number)
    assert again.next() is None
    assert diary.lines == [("resumed", 0), ("reported", 0, 2), ("complete", 0, 0.2, None)]


def test_suspending_leaves_running_trials_resumable(space: GeneSpace) -> None:
    search = new_search(space)
    job = search.next()
    assert job is not None
    search.suspend("interrupted by SIGINT")
    search.suspend("something later")
    assert search.report(job.number, EpochResult(1, 2, 0.1)) is Verdict.SUSPEND
    assert search.next() is None
    assert search.ended_because == "interrupted by SIGINT"
    assert search.study.unfinished() == [0]
    assert search.report(job.number, EpochResult(2, 2, 0.1)) is Verdict.CONTINUE  # what is finished is kept


def test_the_time_limit_suspends(space: GeneSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    search = new_search(space, seconds=10)
    job = search.next()
    assert job is not None
    now[0] = 109.9
    assert search.report(job.number, EpochResult(1, 3, 0.1)) is Verdict.CONTINUE
    now[0] = 110.0
    assert search.report(job.number, EpochResult(2, 3, 0.1)) is Verdict.SUSPEND
    assert search.next() is None
    assert search.ended_because == "the time limit was reached"


def test_a_search_that_is_done_does_not_blame_the_time(space: GeneSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    search = new_search(space, trials=1, seconds=10)
    LocalExecutor().run(search, Epochs(1))
    now[0] = 50.0
    assert search.next() is None
    assert search.ended_because is None


def test_an_exhausted_space_ends_the_search() -> None:
    search = small_search(trials=10)
    LocalExecutor().run(search, Epochs(1))
    assert sorted(record.genotype for record in search.study.records) == [(1,), (2,)]
    assert search.ended_because == "every network of the space within the limits is known"
    assert search.study.unfinished() == []


def test_running_trials_of_an_exhausted_space_are_finished() -> None:
    search = small_search(trials=10)
    first, second = search.next(), search.next()
    assert first is not None
    assert second is not None
    assert search.next() is None
    assert not search.suspended
    for job in (first, second):
        assert search.report(job.number, EpochResult(1, 2, 0.1)) is Verdict.CONTINUE
        search.report(job.number, EpochResult(2, 2, 0.5))
        search.finish(job.number)
    assert len(search.study.front()) == 1


def test_a_space_too_large_to_list_may_be_exhausted_too() -> None:
    # Two of a million networks are within the limits; that these are all cannot be known, only not be found.
    space = GeneSpace(
        {"a": list(range(1000)), "b": list(range(1000))},
        lambda g: {"macs": 1.0 + g[0] + 5 * g[1]},  # type: ignore[operator]
    )
    bounds = Limits({"macs": 2.5})
    search = Search(new_study(space, limits=bounds), space, make_sampler("random", space, bounds, 0), 10)
    jobs = [search.next(), search.next()]
    assert all(jobs)
    assert search.next() is None
    assert search.next() is None
    assert not search.suspended
    assert search.study.count == 2
    for job in jobs:
        assert job is not None
        search.report(job.number, EpochResult(1, 1, 0.5))
        search.finish(job.number)
    states = [record.state for record in search.study.records]
    assert states == ["complete", "complete"]
    assert search.study.unfinished() == []


def test_orphans_come_first_even_when_enough_trials_are_known(space: GeneSpace) -> None:
    study = new_study(space)
    before = new_search(space, study, trials=3)
    numbers = [job.number for job in (before.next(), before.next()) if job]
    assert numbers == [0, 1]
    LocalExecutor().run(new_search(space, study, trials=2), Epochs(1))
    assert [record.number for record in study.records] == [0, 1]
    assert study.count == 2


# The public function


@pytest.mark.parametrize(
    "wrong",
    [
        {"trials": 0},
        {"workers": -1},
        {"limits": {"macs": "300Q"}},
        {"limits": {"macs": -3}},
        {"limits": {"mac": 300}},
        {"limits": {"macs": 1}},
        {"sampler": "annealing"},
        {"evaluate": None},
        {"space": None},
        {"space": "quick"},
        {"storage": "nowhere"},
    ],
)
def test_wrong_arguments_are_usage_errors(space: GeneSpace, wrong: dict[str, Any]) -> None:
    from bsconv_nas.api import search

    with pytest.raises(UsageError):
        search(**{"space": space, "evaluate": lambda g: 0.5, "trials": 1, **wrong})


def test_wrong_epochs_are_a_usage_error() -> None:
    from bsconv_nas.api import search

    with pytest.raises(UsageError, match="epochs is 0"):
        search(data="digits", epochs=0, trials=1)


def test_the_observer_hears_the_end(space: GeneSpace) -> None:
    from bsconv_nas.api import search

    diary = Diary()
    search(space, evaluate=lambda g: 0.5, trials=1, observer=diary)
    assert diary.lines == [("started", 0), ("reported", 0, 1), ("complete", 0, 0.5, None), ("ended", None)]
