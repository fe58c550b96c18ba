"""The benchmark of samplers: its problems are what they say, its fronts are the best, its numbers are right."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import search_efficiency, true_front
from benchmarks.search_efficiency import Task, summary
from benchmarks.synthetic import CHANCE, Problem
from bsconv_nas.pareto import hypervolume

TASK = Task(Problem(8, 0))


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
    positions = [TASK.axis.position(float(cost)) for cost in costs]
    assert hypervolume(positions, (1 - errors).tolist(), 1.0, TASK.floor) == pytest.approx(TASK.best, rel=1e-3)
    assert (costs <= TASK.problem.limit).all()


def test_summary_of_runs() -> None:
    shares = [[0.5] * 10 + [0.92] * 90, [0.5] * 30 + [0.96] * 70, [0.5] * 100]
    runs = [{"shares": each, "wasted": 0.1, "ask_seconds": 0.002} for each in shares]
    found = summary(runs, 100)
    assert found["hv@25"] == 0.5
    assert found["hv@50"] == 0.92
    assert found["to 90%"] == 31
    assert found["to 95%"] is None
    assert found["ask ms"] == 2.0


def test_it_runs_and_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found.json"
    options = ["--genes", "8", "--seeds", "1", "--trials", "25", "--samplers", "random", "tpe", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["search_efficiency", *options])
    search_efficiency.main()
    found = json.loads(out.read_text())
    assert found["results"]["8"]["random"]["wasted"] == 0
    assert len(found["results"]["8"]["tpe"]["runs"][0]["shares"]) == 25
    assert found["provenance"]["processor"]
    assert "tpe" in capsys.readouterr().out
