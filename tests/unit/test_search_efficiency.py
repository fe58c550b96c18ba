"""The benchmark of samplers: its problems are what they say, its fronts are the best, its numbers are right."""

import itertools
import json
import random
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import search_efficiency, true_front
from benchmarks.peers import PEERS
from benchmarks.plot_search_efficiency import bands
from benchmarks.search_bounds import foreseen, inside, left_out
from benchmarks.search_efficiency import behind_random, run, run_with_epochs, summary
from benchmarks.synthetic import CHANCE, Problem
from benchmarks.tables.table import Row, Table, table_space
from benchmarks.tasks import SyntheticTask, TableTask, tasks
from bsconv_nas.samplers.gp import Features, Kernel, Posterior
from bsconv_nas.spaces.genes import Genotype

TASK = SyntheticTask(Problem(8, 0))


@pytest.mark.parametrize("genes", [8, 20, 40])
def test_a_problem_follows_from_its_seed(genes: int) -> None:
    one, same, other = Problem(genes, 1), Problem(genes, 1), Problem(genes, 2)
    codes = one.random(200, np.random.default_rng(0))
    assert (one.error(codes) == same.error(codes)).all()
    assert (one.error(codes) != other.error(codes)).any()
    assert one.trained(tuple(codes[0].tolist()), 3) == same.trained(tuple(codes[0].tolist()), 3)


@pytest.mark.parametrize("genes", [8, 20, 40])
def test_a_problem_is_like_a_space_of_networks(genes: int) -> None:
    problem = Problem(genes, 1)
    codes = problem.random(2000, np.random.default_rng(0))
    macs, errors = problem.macs(codes), problem.error(codes)
    assert (macs > 0).all()
    assert (errors > 0).all()
    assert errors.max() <= 1 - CHANCE
    learned = errors < 1 - CHANCE - 1e-9
    assert 0.8 < learned.mean() < 1
    assert np.corrcoef(np.log(macs[learned]), np.log(errors[learned]))[0, 1] < -0.2
    assert (macs <= problem.limit).mean() == pytest.approx(0.5, abs=0.05)


def test_evolution_finds_the_front_that_enumeration_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(true_front, "ENUMERATED", 0)
    costs, errors = true_front.true_front(TASK.problem)
    assert TASK.front.share(costs.tolist(), (1 - errors).tolist()) == pytest.approx(1, rel=1e-3)
    assert (costs <= TASK.problem.limit).all()


def test_a_curve_ends_where_the_training_ends() -> None:
    codes = tuple(TASK.problem.random(1, np.random.default_rng(3))[0].tolist())
    curve = TASK.problem.curve(codes, 5)
    assert len(curve) == 8
    assert curve[-1] == pytest.approx(TASK.problem.trained(codes, 5), abs=1e-6)
    assert curve[0] < curve[-1]
    assert curve != TASK.problem.curve(codes, 6)


def _table(networks: list[Genotype]) -> Table:
    """A table as if accuracy followed from MACs, and width 16 were better than it should be."""
    space = table_space()
    macs = [space.cost(genotype)["macs"] for genotype in networks]
    accuracies = [0.2 + cost / 1e7 + (0.05 if g[3] == 16 else 0) for g, cost in zip(networks, macs, strict=True)]
    curves = [tuple(a * e / 8 for e in range(1, 9)) for a in accuracies]
    return Table(Row(g, 0, int(m), 1, c, c[-1], 1.0) for g, m, c in zip(networks, macs, curves, strict=True))


@pytest.mark.parametrize("part", [1, 4])
def test_a_table_is_searched_within_what_it_has(part: int) -> None:
    networks = list(table_space().enumerate())[::part]
    task = TableTask(_table(networks), 0.5)
    inside = [g for g in networks if task.space.cost(g)["macs"] <= task.limits.bounds["macs"]]
    assert len(inside) == pytest.approx(len(networks) / 2, rel=0.1)
    assert task.front.share([task.space.cost(g)["macs"] for g in inside], [task.true_top1(g) for g in inside]) == 1
    found = run(task, PEERS["random"](task, 0), 20, 0)
    assert found["wasted"] == 0
    assert found["shares"] == sorted(found["shares"])


def test_luck_counts_only_in_the_measure_by_one_training() -> None:
    networks = list(table_space().enumerate())
    lucky = _table(networks).rows[100]
    sober = replace(lucky, seed=1, val_top1=(0.1,) * 8, test_top1=0.1)
    task = TableTask(Table([*_table(networks).rows, sober]), 1.0)
    seen = task.curve(lucky.genotype, 0)[-1]
    assert task.by_one_training.true_top1(lucky.genotype) == seen
    assert task.true_top1(lucky.genotype) == pytest.approx((seen + 0.1) / 2)


@pytest.mark.parametrize("name", ["pymoo nsga2", "syne-tune mo-rea", "nsga2"])
def test_peers_search_as_they_come(name: str) -> None:
    pytest.importorskip({"pymoo": "pymoo", "syne-tune": "syne_tune"}.get(name.split()[0], "optuna"))
    found = run(TASK, PEERS[name](TASK, 0), 45, 0)
    assert found["shares"] == sorted(found["shares"])
    assert found["shares"][-1] > 0
    if name != "syne-tune mo-rea":  # its random_seed (0.16) does not make two runs the same
        assert found == {**run(TASK, PEERS[name](TASK, 0), 45, 0), "ask_seconds": found["ask_seconds"]}


def test_early_stopping_counts_all_epochs_and_complete_networks_only() -> None:
    whole, stopped = (run_with_epochs(TASK, "known-cost", rule, 16, 0) for rule in ("none", "asha"))
    assert whole["epochs"] == list(range(8, 8 * 16 + 1, 8))
    assert stopped["epochs"][-1] < whole["epochs"][-1]
    assert summary([whole], 16)["epochs to 90%"] is None


def test_what_is_foreseen_costs_fewer_epochs_and_finds_the_same() -> None:
    task = TableTask(_table(list(table_space().enumerate())), 0.25)
    order = random.Random(0).sample(inside(task), 40)
    shares, spent = foreseen(task, order, 1)
    whole, all_epochs = foreseen(task, order, 8)
    assert shares == whole
    assert all_epochs == [8 * number for number in range(1, len(order) + 1)]
    assert spent[0] == 8
    assert {b - a for a, b in itertools.pairwise(spent)} == {1, 8}


def test_predictions_from_all_others_are_those_of_a_process_without_it() -> None:
    rng = np.random.default_rng(0)
    features = Features(rng.uniform(size=(12, 2)), np.eye(3)[rng.integers(0, 3, 12)], rng.uniform(size=(12, 1)))
    targets, kernel = rng.normal(size=12), Kernel((3,), 2)
    theta, rest = kernel.prior_mean, np.arange(1, 12)
    means, deviations = left_out(kernel, theta, kernel.covariance(theta, features, features), targets)
    others = Posterior(kernel, theta, features.take(rest), targets[rest], np.zeros(11))
    mean, deviation = others.predict(features.take(np.array([0])))
    assert means[0] == pytest.approx(mean[0], rel=1e-6)
    assert deviations[0] ** 2 == pytest.approx(deviation[0] ** 2 + np.exp(theta[-1]), rel=1e-3)


def test_summary_of_runs() -> None:
    shares = [[0.5] * 10 + [0.92] * 90, [0.5] * 30 + [0.96] * 70, [0.5] * 100]
    runs = [{"shares": each, "wasted": 0.1, "ask_seconds": 0.002} for each in shares]
    found = summary(runs, 100)
    assert found["hv@25"] == 0.5
    assert found["hv@50"] == 0.92
    assert found["to 90%"] == 31
    assert found["to 95%"] is None
    assert found["ask ms"] == 2.0


def test_being_behind_random_is_noticed() -> None:
    random = [{"shares": [0.9] * 20 + [0.5, 0.6, 0.7]}] * 3
    ours = [{"shares": [0.1] * 20 + [0.5, 0.5, 0.8]}] * 2 + [{"shares": [0.1] * 20 + [0.9, 0.9, 0.9]}]
    assert behind_random({"known-cost": {"runs": ours}, "random": {"runs": random}}) == [22]


def test_it_runs_and_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found.json"
    options = ["--tasks", "8", "--seeds", "1", "--trials", "25", "--samplers", "random", "tpe", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["search_efficiency", *options])
    search_efficiency.main()
    found = json.loads(out.read_text())
    assert found["results"]["8"]["random"]["wasted"] == 0
    assert len(found["results"]["8"]["tpe"]["runs"][0]["shares"]) == 25
    assert found["provenance"]["processor"]
    assert "tpe" in capsys.readouterr().out


def test_a_sampler_of_ones_own_is_measured_beside_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "own.json"
    names = ["tests.made_up:Wanderer", "tests.made_up:wanderer", "bsconv_nas.samplers.known_cost:KnownCostSampler"]
    common = ["search_efficiency", "--tasks", "8", "--seeds", "1", "--trials", "25", "--samplers", "known-cost"]
    monkeypatch.setattr(sys, "argv", [*common, "--sampler", *names, "--out", str(out)])
    search_efficiency.main()
    results = json.loads(out.read_text())["results"]["8"]
    assert list(results) == ["known-cost", *names]
    assert all(measured["wasted"] == 0 for measured in results.values())
    shares = {name: measured["runs"][0]["shares"] for name, measured in results.items()}
    assert shares[names[0]] == shares[names[1]] != shares["known-cost"]
    assert shares[names[2]] == shares["known-cost"]
    assert "tests.made_up:Wanderer" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tests.made_up:Wonderer", "no sampler 'tests.made_up:Wonderer' .*has no attribute"),
        ("no_such_module:Sampler", "no sampler 'no_such_module:Sampler' .*No module named"),
        ("tests.made_up", "no sampler 'tests.made_up' .*write MODULE:CLASS or MODULE:FUNCTION"),
        ("tests.made_up:StopsBelow", "sampler is the class StopsBelow; allowed"),
        ("optuna.samplers:GridSampler", r"GridSampler\(seed=0\) failed .*search_space.*; write MODULE:FUNCTION"),
        ("builtins:abs", "sampler function abs returned 0 for seed 0; it must return an Optuna sampler"),
    ],
)
def test_what_is_no_sampler_is_refused(
    name: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["search_efficiency", "--tasks", "8", "--sampler", name])
    with pytest.raises(SystemExit) as ended:
        search_efficiency.main()
    assert ended.value.code == 2
    assert re.search(message, capsys.readouterr().err)


def test_quartiles_of_progress() -> None:
    low, middle, high = bands([{"shares": [0.0, value]} for value in (0.1, 0.2, 0.3, 0.4, 0.5)])
    assert (low[1], middle[1], high[1]) == pytest.approx((0.2, 0.3, 0.4))


def test_a_search_that_runs_out_of_networks_stays_where_it_is() -> None:
    task = tasks("table-25", 0)
    found = run(task, PEERS["random"](task, 0), 200, 0)
    inside = sum(task.limits.allow(task.space.cost(genotype)) for genotype in task.space.enumerate())
    assert inside < 200 == len(found["shares"])
    assert found["shares"][inside - 1] == found["shares"][-1] == 1
