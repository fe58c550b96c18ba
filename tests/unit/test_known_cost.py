"""The known-cost sampler: its promises in every kind of space, and what trials of each state tell it."""

import inspect
import itertools
import json
import math
import random
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState, create_trial

from bsconv_nas.api import search
from bsconv_nas.base.limits import Limits
from bsconv_nas.engine.search import Search
from bsconv_nas.errors import SpaceError, UsageError
from bsconv_nas.evaluation import EpochResult, Job
from bsconv_nas.pareto import CostAxis
from bsconv_nas.samplers import DEFAULT_SAMPLER, make_sampler
from bsconv_nas.samplers.encoding import Encoder
from bsconv_nas.samplers.known_cost import KnownCostSampler
from bsconv_nas.samplers.model import Model
from bsconv_nas.samplers.observations import finished
from bsconv_nas.samplers.warm_start import reference_genotypes
from bsconv_nas.spaces.files import find_space
from bsconv_nas.spaces.genes import GeneSpace, Genotype, TraitFunction
from bsconv_nas.spaces.networks import ArchSpace
from bsconv_nas.spaces.references import REFERENCES
from bsconv_nas.study import Study
from bsconv_nas.study.storage import open_storage
from tests.trials import trial_of

optuna.logging.set_verbosity(optuna.logging.ERROR)
ROOT = Path(__file__).parents[2]
WIDTHS, KINDS = [4, 8, 12, 16, 24], ["U", "S2", "S4"]


def _macs(genotype: Genotype) -> dict[str, float]:
    macs = 50.0
    for width, kind, depth in zip(genotype[::3], genotype[1::3], genotype[2::3], strict=True):
        macs += float(width) * float(depth) * {"U": 1.0, "S2": 0.7, "S4": 0.5}[str(kind)]
    return {"macs": macs * 1e3, "params": 100.0 * sum(float(width) for width in genotype[::3])}


def _space(stages: int = 3) -> GeneSpace:
    genes: dict[str, list[int] | list[str]] = {}
    for stage in range(stages):
        genes |= {f"w{stage}": WIDTHS, f"k{stage}": KINDS, f"d{stage}": [1, 2, 3, 4]}
    return GeneSpace(genes, cost=_macs)


def _top1(genotype: Genotype) -> float:
    error = 0.9
    for stage, (width, kind, depth) in enumerate(zip(genotype[::3], genotype[1::3], genotype[2::3], strict=True)):
        suits = 0.05 if KINDS.index(str(kind)) == stage % 3 else 0.0
        error *= 0.75 - 0.1 * math.log(float(width) * float(depth)) / math.log(96) - suits
    return 1 - error


def _run(
    space: GeneSpace, limits: Limits, trials: int, evaluate: Callable[[Genotype], float] = _top1, seed: int = 0
) -> optuna.Study:
    sampler = KnownCostSampler(space, limits, seed)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    for _ in range(trials):
        _tell(study, space, evaluate)
    return study


def _ask(study: optuna.Study, space: GeneSpace) -> tuple[optuna.Trial, Genotype]:
    trial = study.ask()
    return trial, tuple(trial.suggest_categorical(gene.name, gene.choices) for gene in space.genes)


def _tell(study: optuna.Study, space: GeneSpace, evaluate: Callable[[Genotype], float] = _top1) -> None:
    trial, genotype = _ask(study, space)
    study.tell(trial, [evaluate(genotype), space.cost(genotype)["macs"]])


def _proposals(study: optuna.Study, space: GeneSpace) -> list[Genotype]:
    return [space.from_params(trial.params) for trial in study.trials]


def _all_promises_kept(study: optuna.Study, space: GeneSpace, limits: Limits) -> bool:
    proposals = _proposals(study, space)
    return len(set(proposals)) == len(proposals) and all(limits.allow(space.cost(g)) for g in proposals)


def test_it_is_the_default() -> None:
    assert DEFAULT_SAMPLER == "known-cost"
    assert isinstance(make_sampler(DEFAULT_SAMPLER, _space(), Limits(), 0), KnownCostSampler)


@pytest.mark.parametrize("bounds", [{}, {"macs": 90e3}, {"macs": 120e3, "params": 2e3}, {"params": 1.5e3}])
def test_never_over_a_limit_and_never_twice(bounds: dict[str, float]) -> None:
    space, limits = _space(2), Limits(bounds)
    assert _all_promises_kept(_run(space, limits, 30), space, limits)


def test_never_twice_with_eight_at_a_time() -> None:
    space, limits = _space(), Limits({"macs": 150e3})
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=KnownCostSampler(space, limits, 0))
    waiting = [_ask(study, space) for _ in range(8)]
    for _ in range(24):
        trial, genotype = waiting.pop(3)
        study.tell(trial, [_top1(genotype), space.cost(genotype)["macs"]])
        waiting.append(_ask(study, space))
    assert _all_promises_kept(study, space, limits)


def test_it_finds_the_front_where_random_search_does_not() -> None:
    space, limits = _space(), Limits({"macs": 130e3})
    found: dict[str, float] = {}
    for name in ("known-cost", "random"):
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=make_sampler(name, space, limits, 1))
        for _ in range(40):
            _tell(study, space)
        found[name] = max(trial.values[0] for trial in study.trials)
    many = [space.random(random.Random(i)) for i in range(4000)]
    best = max(_top1(genotype) for genotype in many if limits.allow(space.cost(genotype)))
    assert found["known-cost"] >= best - 0.005 > found["random"] + 0.005


@pytest.mark.parametrize("top1", [0.0, 0.1, 1.0])
def test_equal_accuracies(top1: float) -> None:
    space, limits = _space(2), Limits({"macs": 120e3})
    assert _all_promises_kept(_run(space, limits, 22, lambda _: top1), space, limits)


def test_accuracies_of_zero_and_one() -> None:
    space = _space(2)
    study = _run(space, Limits(), 25, lambda g: 1.0 if float(g[0]) > 10 else 0.0)
    assert _all_promises_kept(study, space, Limits())


@pytest.mark.parametrize(
    "genes", [{"a": [1]}, {"a": ["x"]}, {"a": [1, 2, 3]}, {"a": ["x", "y", "z"]}, {"a": [1, 2], "b": [5], "c": ["x"]}]
)
def test_tiny_spaces_are_searched_to_the_end(genes: dict[str, list[int] | list[str]]) -> None:
    space = GeneSpace(genes, cost=lambda g: {"macs": 10.0 + (float(g[0]) if isinstance(g[0], int) else 0.0)})
    study = search(space, evaluate=lambda g: 0.5 if g[0] in {1, "x"} else 0.6, trials=20)
    assert len(study.records) == space.size


def test_a_trait_that_accuracy_follows_makes_better_predictions() -> None:
    genes = {f"g{i}": [0, 1, 2] for i in range(6)}

    def trait(genotype: Genotype) -> float:
        digits = [int(choice) for choice in genotype]
        return (digits[0] * digits[1] + digits[2] * digits[3] + digits[4] * digits[5]) / 12

    def mistake(traits: TraitFunction | None) -> float:
        space = GeneSpace(genes, lambda g: {"macs": 10.0 + float(g[0])}, traits=traits)
        networks = random.Random(0).sample(list(space.enumerate()), 320)
        encoder = Encoder(space, CostAxis(10, 12), "macs", Limits(), networks[0])
        points = [encoder.point(genotype) for genotype in networks]
        trials = [trial_of(i, TrialState.COMPLETE, [1 - math.exp(-trait(g))], 1) for i, g in enumerate(networks[:20])]
        predictor = Model(encoder).predictor(trials, points[:20])
        assert predictor is not None
        return float(np.abs(predictor.mean(points[20:]) - [-trait(g) for g in networks[20:]]).mean())

    assert mistake(lambda g: {"products": trait(g)}) < 0.5 * mistake(None)


def test_predictions_begin_with_what_is_expected() -> None:
    genes = {"a": [1, 2, 3, 4, 5], "b": ["x", "y", "z"]}
    errors = {genotype: -0.3 * float(genotype[0]) for genotype in itertools.product(*genes.values())}

    def mistake(expected: dict[str, float]) -> float:
        space = GeneSpace(
            genes, lambda g: {"macs": 10.0}, traits=lambda g: {"third": float(g[0]) / 3}, expected=expected
        )
        encoder = Encoder(space, CostAxis(10, 20), "macs", Limits(), (1, "x"))
        seen = [(2, "x"), (3, "y")]
        points = [encoder.point(genotype) for genotype in seen]
        trials = [trial_of(i, TrialState.COMPLETE, [1 - math.exp(errors[g])], 1) for i, g in enumerate(seen)]
        predictor = Model(encoder).predictor(trials, points)
        assert predictor is not None
        assert predictor.known_mean == pytest.approx([errors[genotype] for genotype in seen], abs=0.1)
        means, _ = predictor.predict([encoder.point(genotype) for genotype in errors])
        assert means == pytest.approx(predictor.mean([encoder.point(genotype) for genotype in errors]))
        return float(np.abs(means - list(errors.values())).mean())

    # The deviation of the two that are seen is 0.15, so -0.3 for each step of a third is -6 deviations for 1.
    assert mistake({"third": -6.0}) < 0.01 < 0.05 < mistake({}) < mistake({"third": 6.0})


def test_the_cheap_end_has_a_value_before_anything_there_was_trained() -> None:
    def macs(width: float, depth: float) -> float:
        return width * depth

    space = GeneSpace(
        {"width": list(range(1, 33)), "depth": list(range(1, 9))}, lambda g: {"macs": macs(*map(float, g))}
    )
    sampler = KnownCostSampler(space, Limits(), seed=0)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    for width, depth in itertools.product((16, 20, 24, 32), (4, 6, 8)):
        params, cost = {"width": width, "depth": depth}, macs(width, depth)
        values = [1 - (1 + cost) ** -0.5, cost]
        study.add_trial(create_trial(params=params, distributions=sampler.distributions, values=values))
    costs: list[float] = []
    for _ in range(8):
        trial = study.ask(sampler.distributions)
        costs.append(macs(**trial.params))
        study.tell(trial, [1 - (1 + costs[-1]) ** -0.5, costs[-1]])
    # Costs of 1 to 256, of which the first networks were at least at 64: half of the logarithmic axis lies below 16.
    assert sum(cost <= 16 for cost in costs) >= 4


def test_nothing_can_be_expected_of_what_the_space_does_not_have() -> None:
    space = GeneSpace({"a": [1, 2]}, lambda g: {"macs": 10.0}, expected={"params": -1.0})
    with pytest.raises(SpaceError, match="unknown cost or trait 'params'; known: macs"):
        KnownCostSampler(space, Limits(), 0)


@pytest.mark.parametrize("order", [1, -1])
def test_traits_are_told_apart_by_their_names_and_count_from_the_cheapest_network(order: int) -> None:
    space = GeneSpace(
        {"a": [1, 2]},
        lambda g: {"macs": 10.0},
        traits=lambda g: dict([("one", 100.0 + float(g[0])), ("two", 2.0 * float(g[0]))][:: order if g[0] == 2 else 1]),
    )
    encoder = Encoder(space, CostAxis(10, 20), "macs", Limits(), (1,))
    assert encoder.point((2,)).trend == (0.0, 1.0, 2.0)


@pytest.mark.parametrize("cost", [0.0, 7.0])
def test_one_cost_for_all_networks(cost: float) -> None:
    space = GeneSpace({"a": [1, 2, 3, 4], "b": ["x", "y", "z", "w"]}, cost=lambda _: {"macs": cost})
    study = _run(space, Limits(), 14, lambda g: 0.1 * float(g[0]) + (0.3 if g[1] == "z" else 0.0))
    assert (4, "z") in _proposals(study, space)


def test_numbers_that_are_labels_and_choices_that_are_not_text() -> None:
    genes = {"se": [False, True], "size": [0.5, 1.0, 2.0], "label": [3, 1, 2]}
    space = GeneSpace(genes, cost=lambda g: {"macs": float(g[1])}, categorical=["label"])
    study = _run(space, Limits(), 18, lambda g: 0.2 + 0.1 * float(g[1]) + 0.1 * float(g[0]))
    assert len(set(_proposals(study, space))) == 18


def _history(space: GeneSpace, trials: int) -> optuna.Study:
    """A study with trials of every state."""
    study = optuna.create_study(
        directions=["maximize", "minimize"], sampler=KnownCostSampler(space, Limits({"macs": 150e3}), 5)
    )
    for number in range(trials):
        trial, genotype = _ask(study, space)
        top1 = _top1(genotype)
        trial.set_user_attr(
            "curve", [[e, 4, top1 * (0.6 + 0.1 * e), {}] for e in range(1, 3 if number % 5 == 4 else 5)]
        )
        if number % 5 == 4:
            study.tell(trial, state=TrialState.PRUNED)
        elif number % 7 == 6:
            study.tell(trial, state=TrialState.FAIL)
        elif number < trials - 2:
            study.tell(trial, [top1, space.cost(genotype)["macs"]])
    return study


def _next(study: optuna.Study, space: GeneSpace, sampler: KnownCostSampler) -> Genotype:
    copy = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    copy.add_trials(study.get_trials())
    return _ask(copy, space)[1]


@pytest.mark.parametrize("trials", [3, 12, 33])
def test_a_proposal_follows_from_seed_and_history(trials: int) -> None:
    space = _space()
    study = _history(space, trials)
    used = study.sampler  # has fits and costs of earlier proposals in its caches
    assert isinstance(used, KnownCostSampler)
    expected = _next(study, space, KnownCostSampler(space, Limits({"macs": 150e3}), 5))
    assert _next(study, space, used) == expected


def test_another_process_proposes_the_same() -> None:
    code = textwrap.dedent("""
        import json
        from tests.unit import test_known_cost as t
        print(json.dumps(t._proposals(t._run(t._space(), t.Limits({"macs": 150e3}), 16), t._space())))
    """)
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, timeout=120
    )
    here = _proposals(_run(_space(), Limits({"macs": 150e3}), 16), _space())
    assert json.loads(found.stdout.splitlines()[-1]) == [list(genotype) for genotype in here]


def test_another_seed_proposes_otherwise() -> None:
    space = _space()
    assert _proposals(_run(space, Limits(), 12, seed=1), space) != _proposals(_run(space, Limits(), 12, seed=2), space)


def test_a_failed_network_is_only_avoided() -> None:
    space, limits = _space(2), Limits({"macs": 120e3})
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=KnownCostSampler(space, limits, 0))
    for number in range(25):
        trial, genotype = _ask(study, space)
        if number % 3 == 0:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, [_top1(genotype), space.cost(genotype)["macs"]])
    assert _all_promises_kept(study, space, limits)
    assert len(finished(study.trials)) == 16


def _cifar_space() -> ArchSpace:
    return ArchSpace(find_space("cifar"), (32, 32), 10)


def test_reference_networks_are_points_of_the_space() -> None:
    space = _cifar_space()
    found = {space.decode(genotype).arch_id for genotype in reference_genotypes(space)}
    assert found == {make((32, 32), 10).arch_id for make in REFERENCES.values()}
    assert reference_genotypes(_space()) == []


def test_reference_networks_within_the_limits_come_first() -> None:
    space, limits = _cifar_space(), Limits({"macs": 20e6})
    expected = [g for g in reference_genotypes(space) if limits.allow(space.cost(g))]
    study = _run(space, limits, len(expected) + 2, lambda g: 0.5)
    proposals = _proposals(study, space)
    assert len(expected) == 6
    assert proposals[:6] == expected
    assert _all_promises_kept(study, space, limits)
    without = KnownCostSampler(space, limits, 0, references=False)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=without)
    assert _ask(study, space)[1] not in expected


@pytest.mark.parametrize("floor", [0.0, 0.5, 0.95])
def test_a_floor_may_be_set(floor: float) -> None:
    space = _space(2)
    study = optuna.create_study(
        directions=["maximize", "minimize"], sampler=KnownCostSampler(space, Limits(), 0, top1_floor=floor)
    )
    for _ in range(16):
        _tell(study, space)
    assert len(set(_proposals(study, space))) == 16


def test_refused_arguments() -> None:
    with pytest.raises(UsageError, match="top1_floor is 1"):
        KnownCostSampler(_space(), Limits(), 0, top1_floor=1)
    with pytest.raises(UsageError, match="has no cost 'mac'; did you mean 'macs'"):
        KnownCostSampler(_space(), Limits(), 0, objective="mac")


def test_a_study_of_other_objectives_is_refused() -> None:
    space = _space(2)
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=KnownCostSampler(space, Limits(), 0))
    with pytest.raises(UsageError, match="are minimize, maximize; the known-cost sampler needs"):
        _ask(study, space)
    with pytest.raises(UsageError, match=r"accuracy 72\.5; allowed: a fraction"):
        _run(space, Limits(), 12, lambda _: 72.5)


def test_the_example_of_the_docstring_runs() -> None:
    text = inspect.getdoc(KnownCostSampler) or ""
    example = text.split("second:\n\n")[1].split("\n\nEarly-stopped")[0]
    names: dict[str, object] = {}
    exec(textwrap.dedent(example), names)
    study = names["study"]
    assert isinstance(study, optuna.Study)
    assert len(study.trials) == 15
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 15


def test_trials_over_the_limit_inform_but_are_no_front() -> None:
    space, limits = _space(2), Limits({"macs": 90e3})
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=make_sampler("random", space, Limits(), 0))
    for _ in range(15):
        _tell(study, space)
    study.sampler = KnownCostSampler(space, limits, 0)
    for _ in range(10):
        _tell(study, space)
    assert all(limits.allow(space.cost(genotype)) for genotype in _proposals(study, space)[15:])


def test_a_hundred_trials_of_eight_genes_take_little_time() -> None:
    genes = {f"g{i}": [1, 2, 3, 4] for i in range(8)}
    space = GeneSpace(genes, cost=lambda g: {"macs": float(sum(g))})  # type: ignore[arg-type]
    begin = time.process_time()
    search(space, evaluate=lambda g: 1 - 1 / (2 + float(sum(g[:4]))), limits={"macs": 26}, trials=100)  # type: ignore[arg-type]
    assert time.process_time() - begin < 20


def test_eight_workers_with_stops_failures_and_restarts_never_repeat_a_network() -> None:
    space, limits = _space(), Limits({"macs": 150e3})
    storage = open_storage(None)
    rng = random.Random(0)
    for target in (20, 40, 60):  # a driver dies twice, with eight networks in training
        study = Study.open(storage, "s", space, limits, 0, {})
        run = Search(study, space, make_sampler("known-cost", space, limits, 0), target)
        jobs = {job.number: job for _ in range(8) if (job := run.next()) is not None}
        while len(jobs) == 8 or (target == 60 and jobs):
            job = jobs.pop(rng.choice(sorted(jobs)))
            _settle(run, job, rng)
            following = run.next()
            jobs |= {following.number: following} if following is not None else {}
    records = study.all_records
    assert len(records) == 60
    assert len({record.identity for record in records}) == 60
    assert all(limits.allow(record.cost) for record in records)


def _settle(run: Search, job: Job, rng: random.Random) -> None:
    """End a job as the stars have it: complete, failed or stopped early."""
    fate, top1 = rng.random(), _top1(job.genotype)
    if fate < 0.1:
        run.fail(job.number, "no luck")
    elif fate < 0.3:
        run.report(job.number, EpochResult(1, 2, top1 / 2))
        run.study.stop(run._running.pop(job.number))
    else:
        run.report(job.number, EpochResult(1, 2, top1 / 2))
        run.report(job.number, EpochResult(2, 2, top1))
        run.finish(job.number)


def test_the_example_of_the_documentation_runs() -> None:
    text = (ROOT / "docs" / "samplers.md").read_text()
    names: dict[str, object] = {}
    exec(text.split("```python\n")[1].split("```")[0], names)
    study = names["study"]
    assert isinstance(study, optuna.Study)
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 15
    assert all(trial.values[1] <= 1e5 for trial in study.trials)
