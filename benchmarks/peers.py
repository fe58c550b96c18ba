"""Samplers under one interface: ask for a genotype, be told what came of it.

Stock samplers run as they come, and are told the constraint where they have a way to be told. They cannot refuse a
network, so each of their proposals counts as a training, over the limit or known as it may be. Populations are 20
instead of the usual 100, which would be half of a search.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

import numpy as np
import optuna
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, TPESampler

from benchmarks.tasks import Task
from bsconv_nas.errors import UsageError
from bsconv_nas.samplers import SamplerLike, SpaceSampler, check_sampler, make_sampler
from bsconv_nas.spaces.genes import Genotype


class Peer(Protocol):
    """A sampler in a search of its own."""

    def ask(self) -> Genotype: ...

    def tell(self, genotype: Genotype, top1: float, macs: float) -> None:
        """What came of the genotype of the last `ask`."""
        ...


class OptunaPeer:
    """A sampler in a plain Optuna study with constraints."""

    def __init__(self, task: Task, sampler: BaseSampler) -> None:
        self._task = task
        self._study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)

    def ask(self) -> Genotype:
        self._trial = self._study.ask()
        return tuple(self._trial.suggest_categorical(gene.name, gene.choices) for gene in self._task.space.genes)

    def tell(self, genotype: Genotype, top1: float, macs: float) -> None:
        costs = self._task.space.cost(genotype)
        for name, bound in self._task.limits.bounds.items():
            self._trial.set_constraint(name, costs[name] - bound)
        self._study.tell(self._trial, [top1, macs])


class PymooPeer:
    """pymoo's NSGA-II over indices of choices, with its constraint and a population of 20."""

    def __init__(self, task: Task, seed: int) -> None:
        try:
            from pymoo.algorithms.moo.nsga2 import NSGA2
            from pymoo.core.problem import Problem
            from pymoo.operators.crossover.sbx import SBX
            from pymoo.operators.mutation.pm import PM
            from pymoo.operators.repair.rounding import RoundingRepair
            from pymoo.operators.sampling.rnd import IntegerRandomSampling
        except ImportError as error:
            raise SystemExit("this peer needs pymoo: pip install pymoo") from error
        self._task = task
        most = np.array([len(gene.choices) - 1 for gene in task.space.genes])
        repair = RoundingRepair()
        self._algorithm = NSGA2(
            pop_size=20,
            sampling=IntegerRandomSampling(),
            crossover=SBX(vtype=float, repair=repair),
            mutation=PM(vtype=float, repair=repair),
        )
        limits = len(task.limits.bounds)
        problem = Problem(n_var=len(most), n_obj=2, n_ieq_constr=limits, xl=np.zeros(len(most)), xu=most, vtype=int)
        self._algorithm.setup(problem, termination=("n_gen", 10**6), seed=seed, verbose=False)
        self._asked: Any = None
        self._told: list[tuple[list[float], list[float]]] = []

    def ask(self) -> Genotype:
        if self._asked is None:
            self._asked = self._algorithm.ask()
        row = self._asked.get("X")[len(self._told)]
        return tuple(gene.choices[int(i)] for gene, i in zip(self._task.space.genes, row, strict=True))

    def tell(self, genotype: Genotype, top1: float, macs: float) -> None:
        costs = self._task.space.cost(genotype)
        excess = [costs[name] - bound for name, bound in self._task.limits.bounds.items()]
        self._told.append(([1 - top1, macs], excess))
        if len(self._told) == len(self._asked):
            values, excesses = (np.array(part) for part in zip(*self._told, strict=True))
            self._asked.set("F", values)
            self._asked.set("G", excesses)
            for individual in self._asked:
                individual.evaluated.update({"F", "G"})
            self._algorithm.tell(infills=self._asked)
            self._asked, self._told = None, []


class SyneTunePeer:
    """Syne Tune's multi-objective regularized evolution with a population of 20; it knows no constraints.

    Its searches differ from run to run, whatever the seed.
    """

    def __init__(self, task: Task, seed: int) -> None:
        try:
            from syne_tune.config_space import choice, ordinal
            from syne_tune.optimizer.schedulers.multiobjective import MultiObjectiveRegularizedEvolution
        except ImportError as error:
            raise SystemExit("this peer needs Syne Tune: pip install syne-tune") from error
        self._task = task
        self._genes = {f"g{i}": gene for i, gene in enumerate(task.space.genes)}
        space = {name: (ordinal if gene.ordinal else choice)(list(gene.choices)) for name, gene in self._genes.items()}
        self._searcher = MultiObjectiveRegularizedEvolution(space, random_seed=seed, population_size=20)
        self._number = 0

    def ask(self) -> Genotype:
        self._config = self._searcher.suggest()
        return tuple(self._config[name] for name in self._genes)

    def tell(self, genotype: Genotype, top1: float, macs: float) -> None:
        self._searcher.on_trial_complete(self._number, self._config, [1 - top1, macs])
        self._number += 1


PeerFactory = Callable[[Task, int], Peer]


def _ours(sampler: SamplerLike) -> PeerFactory:
    return lambda task, seed: OptunaPeer(task, make_sampler(sampler, task.space, task.limits, seed))


def imported(name: str) -> PeerFactory:
    """A sampler of one's own by the name `module:Class` or `module:function`, never over a limit and never a repeat.

    A `SpaceSampler` is made of space, limits and seed. Any other Optuna sampler is made as `Class(seed=...)`, a
    function is called with a seed, and what they give is wrapped as `bsconv_nas.search` wraps it.

    Raises:
        UsageError: there is no such module or name, or it is no sampler.
    """
    module, _, attribute = name.partition(":")
    try:
        sampler: Any = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"no sampler {name!r} ({error}); write MODULE:CLASS or MODULE:FUNCTION") from error
    if isinstance(sampler, type) and issubclass(sampler, SpaceSampler):
        return lambda task, seed: OptunaPeer(task, sampler(task.space, task.limits, seed))
    if isinstance(sampler, type) and issubclass(sampler, BaseSampler):
        sampler = _seeded(sampler)
    check_sampler(sampler)
    return _ours(sampler)


def _seeded(sampler: Any) -> Callable[[int], BaseSampler]:
    def make(seed: int) -> BaseSampler:
        try:
            return sampler(seed=seed)
        except TypeError as error:
            raise UsageError(f"{sampler.__name__}(seed={seed}) failed ({error}); write MODULE:FUNCTION") from error

    return make


PEERS: dict[str, PeerFactory] = {
    "known-cost": _ours("known-cost"),
    "random": _ours("random"),
    "tpe repaired": _ours("tpe"),
    "nsga2 repaired": _ours("nsga2"),
    "tpe": lambda task, seed: OptunaPeer(task, TPESampler(seed=seed)),
    "nsga2": lambda task, seed: OptunaPeer(task, NSGAIISampler(seed=seed)),
    "gp repaired": _ours("gp"),
    "gp": lambda task, seed: OptunaPeer(task, GPSampler(seed=seed)),
    "pymoo nsga2": PymooPeer,
    "syne-tune mo-rea": SyneTunePeer,
}
