"""What every row of `SAMPLERS` promises, so that a new row is tested before its author writes a test.

The same is asked of a sampler that a user brings, as an instance, as a function and as a row added to the table.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bsconv_nas.api import search
from bsconv_nas.base.limits import Limits
from bsconv_nas.errors import SpaceError, UsageError
from bsconv_nas.samplers import SAMPLERS, STOCK_SAMPLERS, SamplerLike, check_sampler, make_sampler, repaired
from bsconv_nas.samplers.known_cost import KnownCostSampler
from bsconv_nas.spaces.files import find_space
from bsconv_nas.spaces.genes import GeneSpace, Genotype
from bsconv_nas.spaces.networks import ArchSpace
from bsconv_nas.study import Study
from bsconv_nas.study.storage import open_storage, sqlite_url
from tests.commands import run_command
from tests.made_up import Wanderer, wanderer
from tests.searches import LIMITS, new_study, sampler_for, table_cost, table_space, table_top1
from tests.strategies import gene_spaces
from tests.whole_way import assert_shown, page_data

ROOT = Path(__file__).parents[2]
EXAMPLES = {"gp": 2}  # fits a model for every proposal
TRIALS = {"gp": 12}
MADE_UP = repaired(wanderer)
BROUGHT: dict[str, SamplerLike] = {"instance": Wanderer(seed=1), "function": wanderer, "made-up row": "made-up"}
every_sampler = pytest.mark.parametrize("name", [*SAMPLERS, *BROUGHT])
every_brought = pytest.mark.parametrize("name", BROUGHT)


@pytest.fixture(autouse=True)
def made_up_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SAMPLERS, "made-up", MADE_UP)


def run(study: Study, space: GeneSpace, name: str, count: int, ends: Sequence[str] = ("complete",)) -> list[Genotype]:
    """Run trials one after another; their ends take turns."""
    sampler = make_sampler(BROUGHT.get(name, name), space, study.limits, study.seed)
    genotypes: list[Genotype] = []
    for position in range(count):
        record = study.start(space, sampler)
        end = ends[position % len(ends)]
        if end == "complete":
            study.complete(record, table_top1(record.genotype) if space.name == "table" else 0.5)
        elif end == "stop":
            study.stop(record)
        elif end == "fail":
            study.fail(record.number, "no")
        genotypes.append(record.genotype)
    return genotypes


def assert_sound(study: Study, space: GeneSpace) -> None:
    records = study.all_records
    assert all(study.limits.allow(record.cost) for record in records)
    assert all(record.cost == space.cost(record.genotype) for record in records)
    assert len({record.identity for record in records}) == len(records)


@every_sampler
def test_never_over_the_limits_and_never_repeated(name: str) -> None:
    @settings(max_examples=EXAMPLES.get(name, 12))
    @given(gene_spaces(), st.lists(st.sampled_from(("complete", "stop", "fail", "run")), min_size=1, max_size=3))
    def check(made: tuple[GeneSpace, Limits], ends: list[str]) -> None:
        space, limits = made
        study = new_study(space, limits=limits)
        within = sum(limits.allow(space.cost(genotype)) for genotype in space.enumerate())
        run(study, space, name, min(within, 12), ends)
        assert_sound(study, space)

    check()


@every_sampler
def test_goes_through_a_whole_space(name: str) -> None:
    space = table_space()
    study = new_study(space, limits=Limits({"macs": 500.0}))
    within = sum(table_cost(genotype)["macs"] <= 500 for genotype in space.enumerate())
    run(study, space, name, within)
    assert_sound(study, space)
    sampler = make_sampler(BROUGHT.get(name, name), space, study.limits, 0)
    assert sampler.feasible.exhausted(sampler.known_identities(study.optuna_study))


@every_sampler
def test_survives_stopped_failed_and_running_trials(name: str) -> None:
    # A stopped trial made Optuna's TPE raise when it had intermediate values.
    space = table_space()
    study = new_study(space)
    run(study, space, name, TRIALS.get(name, 24), ("complete", "stop", "complete", "fail", "run"))
    assert_sound(study, space)


@every_sampler
def test_several_running_trials_differ(name: str) -> None:
    space = table_space()
    study = new_study(space)
    run(study, space, name, 10)
    parallel = 2 if name == "gp" else 4
    run(study, space, name, parallel, ("run",))
    assert len(study.unfinished()) == parallel
    assert_sound(study, space)


@every_sampler
def test_equal_seed_and_history_give_equal_proposals(name: str) -> None:
    space, count = table_space(), TRIALS.get(name, 16)
    first = run(new_study(space), space, name, count, ("complete", "complete", "stop"))
    second = run(new_study(space), space, name, count, ("complete", "complete", "stop"))
    assert first == second
    other = run(new_study(space, seed=1), space, name, count, ("complete", "complete", "stop"))
    assert first != other


@every_sampler
def test_a_restart_after_every_trial_changes_nothing(name: str, tmp_path: Path) -> None:
    space, count = table_space(), TRIALS.get(name, 16)
    expected = run(new_study(space), space, name, count)
    proposed: list[Genotype] = []
    for _ in range(count):
        study = new_study(space, storage=open_storage(sqlite_url(tmp_path / "s.db")))
        proposed += run(study, space, name, 1)
    assert proposed == expected


NEXT = """
import sys
from tests.contract.test_samplers import MADE_UP, SAMPLERS, new_study, open_storage, run, table_space
SAMPLERS["made-up"] = MADE_UP
study = new_study(table_space(), storage=open_storage(sys.argv[2]))
print(run(study, table_space(), sys.argv[1], 1)[0])
"""


@every_sampler
def test_a_new_process_proposes_the_same(name: str, tmp_path: Path) -> None:
    space = table_space()
    expected = run(new_study(space), space, name, 12)
    url = sqlite_url(tmp_path / "s.db")
    run(new_study(space, storage=open_storage(url)), space, name, 11)
    command = [sys.executable, "-c", NEXT, name, url]
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, check=True, env=environment)
    assert done.stdout.strip() == str(expected[-1])


@every_sampler
def test_works_in_a_plain_optuna_study(name: str) -> None:
    space = table_space()

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        genotype = tuple(trial.suggest_categorical(gene.name, gene.choices) for gene in space.genes)
        return table_top1(genotype), table_cost(genotype)["macs"]

    sampler = sampler_for(space, BROUGHT.get(name, name))
    seen: list[set[Any]] = []
    for _ in range(2):  # one sampler for two studies: what is known in one is not known in the other
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
        study.optimize(objective, n_trials=12)
        genotypes = [tuple(trial.params.values()) for trial in study.trials]
        assert len(set(genotypes)) == 12
        assert all(table_cost(genotype)["macs"] <= LIMITS["macs"] for genotype in genotypes)
        assert study.best_trials
        seen.append(set(genotypes))
    assert seen[0] == seen[1]


def test_other_parameters_are_refused() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler_for(table_space()))
    with pytest.raises(
        SpaceError, match=r"'height' .* is not a gene of space 'table'; ask for: width, depth, kind, se"
    ):
        study.ask().suggest_int("height", 1, 5)


@pytest.mark.parametrize("name", STOCK_SAMPLERS)
def test_what_was_avoided_is_counted(name: str) -> None:
    space = table_space()
    study = new_study(space, limits=Limits({"macs": 500.0}))
    run(study, space, name, 10)
    counts = [record.avoided for record in study.records if record.avoided]
    assert counts
    assert all(set(count) == {"over_limit", "known"} and 1 <= sum(count.values()) <= 4 for count in counts)


@every_sampler
def test_optuna_sees_every_limit_and_none_exceeded(name: str) -> None:
    space, bounds = table_space(), {"macs": 4000.0, "params": 390.0}
    study = new_study(space, limits=Limits(bounds))
    study.start(space, make_sampler(BROUGHT.get(name, name), space, Limits(bounds), 0))
    (trial,) = study.optuna_study.get_trials()
    cost = study.all_records[0].cost
    excess = {name: cost[name] - bound for name, bound in bounds.items()}
    assert trial.constraints is not None
    assert excess.items() <= trial.constraints.items()
    # optuna-dashboard reads an older list beside these; Optuna merges both, which changes nothing below zero.
    assert sorted(set(trial.constraints.values())) == sorted(excess.values())
    assert max(trial.constraints.values()) <= 0


# Samplers that a user brings, the whole way: search, front, JSON of the command line, data of the report page


def tiny_networks() -> GeneSpace:
    return ArchSpace(find_space("quick"), (8, 8), 10)


def by_size(space: GeneSpace) -> Callable[[Genotype], float]:
    """An evaluator that takes no time: the larger a network, the better."""
    return lambda genotype: 1 - 1 / (1 + space.cost(genotype)["macs"]) ** 0.1


def test_the_example_of_the_documentation_runs() -> None:
    text = (ROOT / "docs" / "samplers.md").read_text().split("## A sampler of your own")[1]
    names: dict[str, Any] = {}
    exec(text.split("```python\n")[1].split("```")[0], names)
    for study in (names["study"], names["same"]):
        assert_sound(study, names["space"])
        assert len(study.records) == 10
    assert names["study"].optuna_study.user_attrs["last_sampler"] == "NearTheBest"


@every_brought
@pytest.mark.parametrize(("make_space", "macs"), [(table_space, 3000.0), (tiny_networks, 300e3)])
def test_a_brought_sampler_goes_the_whole_way(
    name: str,
    make_space: Callable[[], GeneSpace],
    macs: float,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    space, sampler = make_space(), BROUGHT[name]
    first, again, other = (
        search(space, by_size(space), {"macs": macs}, sampler, trials=15, seed=seed, folder=folder)
        for folder, seed in ((tmp_path / "s", 4), (None, 4), (None, 5))
    )
    assert len(first.records) == 15
    assert_sound(first, space)
    assert [r.genotype for r in first.records] == [r.genotype for r in again.records]
    assert [r.genotype for r in first.records] != [r.genotype for r in other.records]
    assert any(record.avoided for record in first.records)  # the sampler itself knows no limits
    expected = "made-up" if name == "made-up row" else "Wanderer"
    assert first.optuna_study.user_attrs["last_sampler"] == expected
    assert assert_shown(first, capsys)["facts"]["sampler"] == expected


def test_a_made_up_row_is_known_to_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--sampler", "made-up", "--trials", "2", "--epochs", "1", "--train-fraction", "0.1", "--workers", "0"]
    assert run_command(["search", *options, "--study", "s", "--dir", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trials"] == 2
    assert page_data(tmp_path / "s")["facts"]["sampler"] == "made-up"


def test_the_seed_of_the_search_counts_and_not_that_of_the_sampler() -> None:
    space = table_space()
    studies = [search(space, table_top1, LIMITS, Wanderer(seed), trials=10, seed=3) for seed in (1, 2, None)]
    first, *others = ([record.genotype for record in study.records] for study in studies)
    assert others == [first, first]


OPTUNA_SAMPLERS: dict[str, Callable[[], optuna.samplers.BaseSampler]] = {
    "TPE without a seed": optuna.samplers.TPESampler,
    "NSGA-II without a seed": lambda: optuna.samplers.NSGAIISampler(population_size=4),
    "NSGA-III": lambda: optuna.samplers.NSGAIIISampler(population_size=4, seed=0),
    "quasi-random": lambda: optuna.samplers.QMCSampler(seed=0, warn_independent_sampling=False),
    "brute force": lambda: optuna.samplers.BruteForceSampler(seed=0),
    "partly fixed": lambda: optuna.samplers.PartialFixedSampler({"depth": 2}, optuna.samplers.RandomSampler()),
}


@pytest.mark.parametrize("name", OPTUNA_SAMPLERS)
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_instances_of_optunas_samplers_are_deterministic_too(name: str) -> None:
    space = table_space()
    studies = [search(space, table_top1, LIMITS, OPTUNA_SAMPLERS[name](), trials=20, seed=seed) for seed in (1, 1, 2)]
    first, again, other = ([record.genotype for record in study.records] for study in studies)
    assert_sound(studies[0], space)
    assert first == again
    assert first != other


def test_an_instance_that_was_used_before_proposes_the_same() -> None:
    space, used = table_space(), Wanderer(seed=1)
    optuna.create_study(directions=["maximize"], sampler=used).optimize(
        lambda trial: float(trial.suggest_categorical("a", [1, 2, 3])), n_trials=5
    )
    first, second = (search(space, table_top1, LIMITS, s, trials=8) for s in (used, Wanderer(seed=1)))
    assert [r.genotype for r in first.records] == [r.genotype for r in second.records]


def test_a_sampler_of_the_space_is_taken_as_it_is() -> None:
    space = table_space()
    sampler = KnownCostSampler(space, Limits(LIMITS), seed=7)
    study = search(space, table_top1, LIMITS, sampler, trials=12)
    by_name = search(space, table_top1, LIMITS, "known-cost", trials=12, seed=7)
    assert [r.genotype for r in study.records] == [r.genotype for r in by_name.records]
    assert make_sampler(sampler, table_space(), Limits(LIMITS), 0) is sampler
    with pytest.raises(
        UsageError, match=r"was made for space .table. within macs <= 4\.00k; this search is of .* 3\.00k"
    ):
        make_sampler(sampler, space, Limits({"macs": 3000.0}), 0)
    with pytest.raises(UsageError, match="this search is of space 'custom'"):
        make_sampler(sampler, GeneSpace({"a": [1, 2]}, lambda g: {"macs": 1.0}), Limits(LIMITS), 0)


class Uncopyable(Wanderer):
    def __deepcopy__(self, copies: object) -> None:
        raise TypeError("cannot pickle '_thread.lock' object")


def no_sampler(seed: int) -> Any:
    return seed


def without_seed() -> Wanderer:
    return Wanderer()


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        (Wanderer, r"sampler is the class Wanderer; call it, such as Wanderer\(seed=0\), or give a function"),
        (int, "sampler is the class int; allowed: a name, an Optuna sampler"),
        (3, "sampler is 3; allowed: a name, an Optuna sampler"),
        (None, "sampler is None; allowed: a name"),
        (["tpe"], r"sampler is \['tpe'\]; allowed: a name"),
        ("tpa", "unknown sampler 'tpa'; did you mean 'tpe'"),
        (no_sampler, "sampler function no_sampler returned 0 for seed 0; it must return an Optuna sampler"),
        (without_seed, "sampler function without_seed cannot be called with a seed alone"),
        (Uncopyable(), "sampler Uncopyable cannot be copied for each proposal .*lock.* lambda seed: Uncopyable"),
    ],
)
def test_what_is_no_sampler_is_refused_in_one_line(sampler: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        search(table_space(), table_top1, LIMITS, sampler, trials=1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [*SAMPLERS, *BROUGHT])
@pytest.mark.parametrize("option", ["top1_floor", "warm_start"])
def test_options_are_refused_by_samplers_that_do_not_take_them(name: str, option: str) -> None:
    sampler = BROUGHT.get(name, name)
    if isinstance(sampler, str) and option in SAMPLERS[sampler].takes:
        check_sampler(sampler, **{option: True})
    else:
        with pytest.raises(UsageError, match=f"has no {option}; leave it out, or use known-cost"):
            check_sampler(sampler, **{option: True})
