"""The cost that a search makes low: chosen by name, stored with the study, and what its front is made of."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from bsconv_nas.api import search
from bsconv_nas.base.limits import Limits
from bsconv_nas.engine.search import Search
from bsconv_nas.errors import SpaceError, StudyError, UsageError
from bsconv_nas.evaluation import EpochResult
from bsconv_nas.pareto import front_indices
from bsconv_nas.samplers import SAMPLERS, make_sampler
from bsconv_nas.samplers.known_cost import KnownCostSampler
from bsconv_nas.spaces.genes import GeneSpace, Genotype
from bsconv_nas.study import Study
from bsconv_nas.study.storage import open_storage, sqlite_url

GENES = {"width": [1, 2, 3, 4], "depth": [1, 2, 3]}


def opposite_costs(genotype: Genotype) -> dict[str, float]:
    """The dearer a network is in energy, the fewer MACs it has."""
    energy = float(genotype[0]) * float(genotype[1])
    return {"energy": energy, "macs": 100 - energy}


def accuracy(genotype: Genotype) -> float:
    return float(genotype[0]) / 8 + float(genotype[1]) / 16


def space_with(*names: str) -> GeneSpace:
    return GeneSpace(GENES, lambda genotype: {name: opposite_costs(genotype)["energy"] for name in names})


@pytest.mark.parametrize(
    ("names", "asked", "chosen"),
    [
        (("energy", "macs"), None, "macs"),
        (("energy", "macs"), "energy", "energy"),
        (("energy",), None, "energy"),
        (("energy", "latency_ms"), "latency_ms", "latency_ms"),
    ],
)
def test_the_objective_is_the_one_asked_for_else_macs_else_the_only_cost(
    names: tuple[str, ...], asked: str | None, chosen: str
) -> None:
    assert search(space_with(*names), accuracy, trials=1, objective=asked).objective == chosen


def test_without_macs_one_of_several_costs_must_be_named() -> None:
    with pytest.raises(SpaceError, match=r"several costs \(energy, latency_ms\) and none is named 'macs'.*objective='"):
        search(space_with("energy", "latency_ms"), accuracy, trials=1)


def test_a_cost_that_the_space_does_not_have_is_no_objective() -> None:
    with pytest.raises(UsageError, match=r"objective 'enrgy' is no cost of space 'custom'; did you mean 'energy'\?"):
        search(space_with("energy", "macs"), accuracy, trials=1, objective="enrgy")
    with pytest.raises(SpaceError, match="has no costs; return at least one"):
        search(GeneSpace(GENES, lambda genotype: {}), accuracy, trials=1)


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_the_front_is_of_accuracy_and_the_objective(sampler: str) -> None:
    space = GeneSpace(GENES, opposite_costs)
    study = search(space, accuracy, sampler=sampler, trials=12, objective="energy")
    records = study.records
    chosen = front_indices([r.cost["energy"] for r in records], [r.top1 or 0 for r in records])
    assert [r.number for r in study.front()] == [records[i].number for i in chosen]
    assert len(study.front()) > 1, "by MACs, one network dominates all others"
    for trial, record in zip(study.optuna_study.get_trials(), study.all_records, strict=True):
        assert trial.values == [record.top1, record.cost["energy"]]
    assert study.optuna_study.metric_names == ["val_top1", "energy"]


def test_the_known_cost_sampler_measures_the_front_along_the_objective() -> None:
    sampler = make_sampler("known-cost", GeneSpace(GENES, opposite_costs), Limits(), 0)
    assert isinstance(sampler, KnownCostSampler)
    assert (sampler.axis.cheapest, sampler.axis.limit) == (88, 99)
    seen: list[KnownCostSampler] = []

    class Spy(KnownCostSampler):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            seen.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bsconv_nas.samplers.known_cost.KnownCostSampler", Spy)
        search(GeneSpace(GENES, opposite_costs), accuracy, trials=1, objective="energy")
    assert (seen[0].axis.cheapest, seen[0].axis.limit) == (1, 12)


def test_early_stopping_compares_by_the_objective() -> None:
    heard: list[tuple[float, list[float]]] = []

    class Rule:
        def continues(self, cost: float, curve: Any, others: Any) -> bool:
            heard.append((cost, [other for other, _ in others]))
            return True

    class TwoEpochs:
        def run(self, job: Any) -> Any:
            yield EpochResult(1, 2, 0.1)
            yield EpochResult(2, 2, accuracy(job.genotype))

    space = GeneSpace(GENES, opposite_costs)
    study = search(space, TwoEpochs(), trials=2, early_stopping=Rule(), objective="energy")
    first, second = (record.cost["energy"] for record in study.all_records)
    assert heard == [(first, []), (second, [first])]


def test_the_objective_is_stored_and_may_not_change(tmp_path: Path) -> None:
    space = GeneSpace(GENES, opposite_costs)
    search(space, accuracy, trials=2, folder=tmp_path, objective="energy")
    study = Study.load(open_storage(sqlite_url(tmp_path / "study.db")), "custom")
    assert study.objective == "energy"
    with pytest.raises(StudyError, match=r"made with other objective \(energy; now macs\)"):
        search(space, accuracy, trials=3, folder=tmp_path)
    assert len(search(space, accuracy, trials=3, folder=tmp_path, objective="energy").records) == 3


def test_a_study_from_before_objectives_were_stored_makes_macs_low(tmp_path: Path) -> None:
    space = GeneSpace(GENES, opposite_costs)
    search(space, accuracy, trials=2, folder=tmp_path)
    forget_objective(tmp_path / "study.db")
    assert Study.load(open_storage(sqlite_url(tmp_path / "study.db")), "custom").objective == "macs"
    with pytest.raises(StudyError, match=r"made with other objective \(macs; now energy\)"):
        search(space, accuracy, trials=3, folder=tmp_path, objective="energy")
    assert len(search(space, accuracy, trials=3, folder=tmp_path).records) == 3


def test_epochs_may_last_longer_in_proportion_to_the_objective() -> None:
    class SlowEpoch:
        def run(self, job: Any) -> Any:
            yield EpochResult(1, 1, 0.5, {"seconds": 60.0})

    space = GeneSpace(GENES, opposite_costs)
    study = search(space, SlowEpoch(), sampler="random", trials=4, seed=1, objective="energy")
    largest = max(record.cost["energy"] for record in study.records)
    run = Search(study, space, make_sampler("random", space, Limits(), 1), 12)
    jobs = [job for _ in range(8) if (job := run.next())]
    costs = [opposite_costs(job.genotype)["energy"] for job in jobs]
    assert max(costs) > largest
    assert [job.deadline for job in jobs] == [pytest.approx(20 * 60 * max(1, cost / largest)) for cost in costs]


def forget_objective(database: Path) -> None:
    """Make the database of a study what it was before objectives were stored."""
    with sqlite3.connect(database) as connection:
        assert connection.execute("DELETE FROM study_user_attributes WHERE key = 'objective'").rowcount == 1
    connection.close()
