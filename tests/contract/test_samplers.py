"""What every row of `SAMPLERS` promises, so that a new row is tested before its author writes a test."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bsconv_nas.base.limits import Limits
from bsconv_nas.errors import SpaceError
from bsconv_nas.samplers import SAMPLERS, STOCK_SAMPLERS, make_sampler
from bsconv_nas.spaces.genes import GeneSpace, Genotype
from bsconv_nas.study import Study
from bsconv_nas.study.storage import open_storage, sqlite_url
from tests.searches import LIMITS, new_study, sampler_for, table_cost, table_space, table_top1
from tests.strategies import gene_spaces

ROOT = Path(__file__).parents[2]
EXAMPLES = {"gp": 2}  # fits a model for every proposal
TRIALS = {"gp": 12}
every_sampler = pytest.mark.parametrize("name", SAMPLERS)


def run(study: Study, space: GeneSpace, name: str, count: int, ends: Sequence[str] = ("complete",)) -> list[Genotype]:
    """Run trials one after another; their ends take turns."""
    sampler = make_sampler(name, space, study.limits, study.seed)
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
    sampler = make_sampler(name, space, study.limits, 0)
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
    found: list[Genotype] = []
    for _ in range(count):
        study = new_study(space, storage=open_storage(sqlite_url(tmp_path / "s.db")))
        found += run(study, space, name, 1)
    assert found == expected


NEXT = """
import sys
from tests.contract.test_samplers import new_study, open_storage, run, table_space
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

    sampler = sampler_for(space, name)
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
    study.start(space, make_sampler(name, space, Limits(bounds), 0))
    (trial,) = study.optuna_study.get_trials()
    cost = study.all_records[0].cost
    excess = {name: cost[name] - bound for name, bound in bounds.items()}
    assert trial.constraints is not None
    assert excess.items() <= trial.constraints.items()
    # optuna-dashboard reads an older list beside these; Optuna merges both, which changes nothing below zero.
    assert sorted(set(trial.constraints.values())) == sorted(excess.values())
    assert max(trial.constraints.values()) <= 0
