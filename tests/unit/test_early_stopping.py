"""Successive halving among networks of no more cost."""

import random

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsconv_nas.api import search
from bsconv_nas.base.limits import Limits
from bsconv_nas.engine.early_stopping import EARLY_STOPPING, find_early_stopping
from bsconv_nas.engine.options import SearchOptions
from bsconv_nas.engine.search import Search, Verdict
from bsconv_nas.engine.successive_halving import SuccessiveHalving, goes_on
from bsconv_nas.errors import UsageError
from bsconv_nas.evaluation import EpochResult
from bsconv_nas.samplers import make_sampler
from bsconv_nas.study import TrialState
from tests.stopping import SPACE, Curves, new_study, run_search

RULES = [name for name, rule in EARLY_STOPPING.items() if rule is not None]
RUNG = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), max_size=20)


def test_accuracy_rising_with_cost_stops_nobody() -> None:
    rung = [(cost, cost / 10) for cost in range(1, 10)]
    assert all(goes_on(c, a, [p for p in rung if p != (c, a)], 2) for c, a in rung)


def test_accuracy_falling_with_cost_keeps_only_the_cheapest() -> None:
    rung = [(cost, 1 - cost / 10) for cost in range(1, 10)]
    kept = [c for c, a in rung if goes_on(c, a, [p for p in rung if p != (c, a)], 2)]
    assert kept == [1]


@pytest.mark.parametrize("reduction", [2, 3, 4])
def test_at_one_cost_the_best_fraction_goes_on(reduction: int) -> None:
    accuracies = random.Random(0).sample(range(24), 24)
    rung = [(5.0, accuracy / 24) for accuracy in accuracies]
    kept = sorted(a for c, a in rung if goes_on(c, a, [p for p in rung if p != (c, a)], reduction))
    assert kept == [a / 24 for a in range(24 - 24 // reduction, 24)]


@given(RUNG, st.tuples(st.integers(1, 9), st.integers(0, 9)), st.sampled_from([1.5, 2, 3]))
def test_who_is_unbeaten_by_cheaper_ones_goes_on(
    rung: list[tuple[int, int]], own: tuple[int, int], reduction: float
) -> None:
    peers = sorted((a for c, a in rung if c <= own[0]), reverse=True)
    unbeaten = not peers or own[1] >= peers[0]
    rank = sum(a > own[1] for a in peers)
    assert goes_on(*own, rung, reduction) == (unbeaten or rank < (len(peers) + 1) / reduction)


@given(RUNG, st.tuples(st.integers(1, 9), st.integers(0, 9)), st.tuples(st.integers(1, 9), st.integers(0, 9)))
def test_what_costs_more_has_no_say(rung: list[tuple[int, int]], own: tuple[int, int], other: tuple[int, int]) -> None:
    dearer = (own[0] + other[0], other[1])
    assert goes_on(*own, [*rung, dearer], 2) == goes_on(*own, rung, 2)


@pytest.mark.parametrize(
    ("rule", "epochs", "rungs"),
    [
        (SuccessiveHalving(), 8, [1, 2, 4]),
        (SuccessiveHalving(), 20, [3, 6, 12]),
        (SuccessiveHalving(), 1, []),
        (SuccessiveHalving(first_rung=2, reduction=3), 20, [2, 6, 18]),
        (SuccessiveHalving(first_rung=1, reduction=1.2), 4, [1, 2, 3]),
        (SuccessiveHalving(first_rung=30), 20, []),
    ],
)
def test_rungs(rule: SuccessiveHalving, epochs: int, rungs: list[int]) -> None:
    assert rule.rungs(epochs) == rungs


@pytest.mark.parametrize("arguments", [{"first_rung": 0}, {"reduction": 1.0}, {"reduction": float("nan")}])
def test_refused_values(arguments: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="allowed"):
        SuccessiveHalving(**arguments)  # type: ignore[arg-type]


def _curve(*accuracies: float, epochs: int = 8) -> list[EpochResult]:
    return [EpochResult(i + 1, epochs, accuracy) for i, accuracy in enumerate(accuracies)]


def test_only_trials_that_reached_the_rung_are_compared() -> None:
    rule = SuccessiveHalving(first_rung=2)
    better_but_behind = (1.0, _curve(0.9))
    assert rule.continues(1.0, _curve(0.1, 0.2), [better_but_behind])
    assert not rule.continues(1.0, _curve(0.1, 0.2), [(1.0, _curve(0.3, 0.25))])
    assert rule.continues(1.0, _curve(0.1, 0.2), [(1.0, _curve(0.3, 0.25, epochs=16))])
    assert rule.continues(1.0, _curve(0.1, 0.2, 0.2), [(1.0, _curve(0.3, 0.25, 0.3))])  # no rung at epoch 3


@pytest.mark.parametrize("rule", RULES)
def test_who_reported_nothing_up_to_the_rung_has_beaten_nobody_there(rule: str) -> None:
    """An evaluator of a user's own may leave epochs out, and not the same ones each time."""
    late = [(1.0, [EpochResult(5, 8, 0.9), EpochResult(8, 8, 0.9)]) for _ in range(9)]
    stopping = find_early_stopping(rule)
    assert stopping is not None
    assert stopping.continues(1.0, _curve(0.1, 0.2), late)


def test_networks_are_ranked_by_their_best_so_far() -> None:
    rule = SuccessiveHalving(first_rung=2)
    assert rule.continues(1.0, _curve(0.5, 0.2), [(1.0, _curve(0.3, 0.4, 0.9))])


@pytest.mark.parametrize(("rule", "rungs"), [("asha", {1, 2, 4}), ("forecast", {2, 3, 4, 5, 6, 7})])
def test_a_search_stops_what_lags_and_keeps_the_front(rule: str, rungs: set[int]) -> None:
    study = new_study()
    run_search(study, Curves(), 30, rule=rule)
    records = study.records
    stopped = [r for r in records if r.state is TrialState.STOPPED]
    assert len(records) == 30
    assert len(stopped) >= 5
    assert all(r.top1 is None and len(r.curve) in rungs for r in stopped)
    assert {tuple(r.genotype) for r in study.front()} == {(w, 1) for w in range(5)}


def test_the_verdict_ends_the_trial_once() -> None:
    study = new_study()
    run = Search(study, SPACE, make_sampler("random", SPACE, Limits(), 0), 9, early_stopping=SuccessiveHalving(1))
    good, bad = run.next(), run.next()
    assert good is not None
    assert bad is not None
    cheap, dear = sorted((good, bad), key=lambda job: SPACE.cost(job.genotype)["macs"])
    assert run.report(cheap.number, EpochResult(1, 8, 0.5)) is Verdict.CONTINUE
    assert run.report(dear.number, EpochResult(1, 8, 0.4)) is Verdict.STOP
    assert study.all_records[dear.number].state is TrialState.STOPPED
    assert run.report(cheap.number, EpochResult(2, 8, 0.5)) is Verdict.CONTINUE


def test_search_takes_the_rule_by_name() -> None:
    study = search(SPACE, Curves(), trials=12, sampler="random", options=SearchOptions(early_stopping="asha"))
    assert optuna.trial.TrialState.PRUNED in {trial.state for trial in study.optuna_study.trials}
    with pytest.raises(UsageError, match="did you mean 'asha'"):
        SearchOptions(early_stopping="ashe")
