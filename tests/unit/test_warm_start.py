"""An earlier study that seeds a new one, and the other options of the known-cost sampler."""

import math
import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bsconv_nas.api import search
from bsconv_nas.base.limits import Limits
from bsconv_nas.cli.app import app
from bsconv_nas.engine.options import SearchOptions
from bsconv_nas.errors import StudyError, UsageError
from bsconv_nas.pareto import front_indices
from bsconv_nas.samplers import STOCK_SAMPLERS, SamplerOptions, make_sampler
from bsconv_nas.samplers.observations import transferred
from bsconv_nas.samplers.options import Earlier
from bsconv_nas.samplers.warm_start import earlier_front, earlier_results
from bsconv_nas.spaces.genes import GeneSpace, Genotype
from bsconv_nas.study import Study
from tests.searches import table_space, table_top1

GENES = {f"g{i}": [1, 2, 3, 4, 5] for i in range(6)}


def _cost(genotype: Genotype) -> dict[str, float]:
    return {"macs": 10.0 + sum(float(choice) * (i + 1) for i, choice in enumerate(genotype))}


def _error(genotype: Genotype) -> float:
    return math.exp(-sum(float(choice) * (6 - i) for i, choice in enumerate(genotype)) / 40)


def _earlier(trials: int = 40) -> Study:
    return search(GeneSpace(GENES, _cost), lambda g: 1 - _error(g), {"macs": 60}, trials=trials)


def test_what_is_known_is_not_searched_anew() -> None:
    space = GeneSpace(GENES, _cost)
    earlier = _earlier()
    # Longer trainings: every error is less, by a law that the search has to find out.
    found: dict[str, list[float]] = {}
    for name, before in (("warm", earlier), ("cold", None)):
        study = search(
            space,
            lambda g: 1 - 0.7 * _error(g) ** 1.2,
            {"macs": 50},
            trials=12,
            options=SearchOptions(warm_start=before),
        )
        assert all(record.cost["macs"] <= 50 for record in study.records)
        found[name] = sorted((record.top1 or 0 for record in study.records), reverse=True)
    assert found["warm"][0] >= found["cold"][0]
    assert sum(found["warm"][:6]) > sum(found["cold"][:6])


def test_the_best_of_the_earlier_front_come_first() -> None:
    space = GeneSpace(GENES, _cost)
    earlier = earlier_results(_earlier(), space, {})
    inside = [e for e in earlier if _cost(e.genotype)["macs"] <= 45]
    front = front_indices([_cost(e.genotype)["macs"] for e in inside], [e.top1 for e in inside])
    first = earlier_front(space, Limits({"macs": 45}), "macs", earlier)
    assert len(first) == 8
    assert {inside[front[0]].genotype, inside[front[-1]].genotype} <= set(first)
    study = search(space, lambda g: 1 - _error(g), {"macs": 45}, trials=8, options=SearchOptions(warm_start=_earlier()))
    assert [record.genotype for record in study.records] == first


def test_a_front_of_few_is_filled_up() -> None:
    space = GeneSpace(GENES, _cost)
    draw = random.Random(0)
    # The dearer the worse: the front is a single network.
    earlier = [Earlier(g, 1 / _cost(g)["macs"]) for g in {space.random(draw) for _ in range(30)}]
    first = earlier_front(space, Limits(), "macs", earlier)
    assert len(set(first)) == len(first) == 8
    assert earlier_front(space, Limits({"macs": 1}), "macs", earlier) == []


@pytest.mark.parametrize("shared", [3, 4, 12])
def test_results_are_transferred_by_a_line_through_shared_networks(shared: int) -> None:
    earlier = {i: -0.1 * i for i in range(20)}
    here = {i: -0.3 + 0.9 * earlier[i] for i in range(shared)}
    found = transferred(earlier, here)
    assert len(found) == (20 if shared >= 4 else 0)
    for i, (log_error, variance) in found.items():
        assert abs(log_error - (-0.3 + 0.9 * earlier[i])) < 2 * math.sqrt(variance)


def test_another_space_is_refused() -> None:
    with pytest.raises(StudyError, match=r"'custom' cannot warm-start this search: it has other space \(.*; here"):
        search(table_space(), table_top1, trials=3, options=SearchOptions(warm_start=_earlier(3)))


def test_other_images_are_refused() -> None:
    space = table_space()
    images = SearchOptions(fixed={"images": "32x32, abc", "training": "long"})
    before = search(space, table_top1, trials=3, options=images)
    assert len(earlier_results(before, space, {"images": "32x32, abc", "training": "brief"})) == 3
    with pytest.raises(StudyError, match=r"other images \(32x32, abc; here 16x16, def\)"):
        earlier_results(before, space, {"images": "16x16, def"})


def test_a_study_without_results_is_refused() -> None:
    def fails(genotype: Genotype) -> float:
        raise ArithmeticError

    space = GeneSpace({"width": [8, 16]}, lambda g: {"macs": float(g[0])}, name="two")
    with pytest.raises(StudyError, match="none of its trials is complete"):
        earlier_results(search(space, fails, trials=2), space, {})


@pytest.mark.parametrize("name", STOCK_SAMPLERS)
def test_other_samplers_refuse_what_means_nothing_to_them(name: str) -> None:
    for options in (SamplerOptions(top1_floor=0.5), SamplerOptions(earlier=(Earlier((8, 1, "U", False), 0.5),))):
        with pytest.raises(UsageError, match=f"sampler {name} has no (top1_floor|warm_start)"):
            make_sampler(name, table_space(), Limits(), 0, options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--grace-period", "2"],
            "early stopping 'none' has no grace period; leave it out",
        ),
        (["--top1-floor", "0.5", "--sampler", "tpe"], "sampler tpe has no top1_floor"),
        (["--warm-start", "nowhere"], "no study 'nowhere'"),
        (["--early-stopping", "asha", "--reduction-factor", "1"], "reduction_factor"),
    ],
)
def test_options_that_cannot_be_met(options: list[str], message: str, tmp_path: Path) -> None:
    command = ["search", "--workers", "0", "--trials", "1", "--dir", str(tmp_path), *options]
    result = CliRunner().invoke(app, command)
    assert result.exit_code != 0
    assert message in f"{result.output} {result.exception}"


def test_a_search_of_networks_learns_from_an_earlier_one(tmp_path: Path) -> None:
    def run(*options: str) -> str:
        common = ["--workers", "0", "--epochs", "1", "--train-fraction", "0.1", "--dir", str(tmp_path), "--quiet"]
        result = CliRunner().invoke(app, ["search", *common, *options])
        assert result.exit_code == 0, (result.output, result.exception)
        return result.output

    run("--trials", "3", "--study", "before", "--no-reference", "--top1-floor", "0.2")
    run("--trials", "2", "--study", "after", "--flops", "10M", "--warm-start", "before")
    text = (tmp_path / "after" / "study.toml").read_text()
    assert 'warm_start = "before"' in text
    assert "references = false" in (tmp_path / "before" / "study.toml").read_text()
