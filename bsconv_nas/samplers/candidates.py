"""Networks worth a prediction: near the front, further off, and anywhere within the limits."""

import random
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from bsconv_nas.samplers.encoding import Encoder, Point
from bsconv_nas.samplers.feasible import Feasible
from bsconv_nas.spaces.genes import GeneSpace, Genotype

_ENUMERATED = 2_000  # in spaces of up to so many networks, all of them are candidates every time


@dataclass(frozen=True, slots=True)
class Amounts:
    """How many candidates are looked at for one proposal. Most of the time goes into the costs of new networks.

    Args:
        neighbours: networks that differ from a member of the front in one gene, over all members.
        mutants: networks that differ from a member of the front in two genes or more.
        random: networks from anywhere within the limits.
        climbers: best candidates whose neighbours are looked at next, in each of `climbing_steps` rounds.
        per_climber: neighbours of each of them.
    """

    neighbours: int = 300
    mutants: int = 60
    random: int = 40
    climbers: int = 3
    climbing_steps: int = 2
    per_climber: int = 40


class Candidates:
    """Makes candidates of a space, each within the limits and with its point.

    Args:
        space: the space.
        feasible: its part within the limits.
        encoder: gives points.
        amounts: how many candidates there are.
    """

    def __init__(self, space: GeneSpace, feasible: Feasible, encoder: Encoder, amounts: Amounts = Amounts()) -> None:
        self._space = space
        self._feasible = feasible
        self._encoder = encoder
        self.amounts = amounts
        self._changes = [(i, choice) for i, gene in enumerate(space.genes) for choice in gene.choices]
        self._all: dict[Genotype, Point] | None = None
        if space.size <= _ENUMERATED:
            self._all = self._pointed(space.enumerate(), ())

    @property
    def complete(self) -> bool:
        """Whether `around` gives every network within the limits, so that climbing finds no more."""
        return self._all is not None

    def around(
        self, front: Sequence[Genotype], known: Collection[Genotype], rng: random.Random
    ) -> dict[Genotype, Point]:
        """Candidates for a front, none of them in `known`."""
        if self._all is not None:
            return {genotype: point for genotype, point in self._all.items() if genotype not in known}
        genotypes = [*self._near(front, rng), *self._far(front, rng), *self._anywhere(rng)]
        return self._pointed(genotypes, known)

    def climb(
        self,
        scored: dict[Genotype, float],
        score: Callable[[dict[Genotype, Point]], dict[Genotype, float]],
        known: Collection[Genotype],
        rng: random.Random,
    ) -> dict[Genotype, float]:
        """Scores extended by rounds of looking at the neighbours of the best."""
        scored = dict(scored)
        for _ in range(0 if self.complete else self.amounts.climbing_steps):
            best = sorted(scored, key=lambda g: -scored[g])[: self.amounts.climbers]
            steps = [step for g in best for step in self._steps(g, self.amounts.per_climber, rng)]
            new = self._pointed((step for step in steps if step not in scored), known)
            if new:
                scored |= score(new)
        return scored

    def _steps(self, genotype: Genotype, count: int, rng: random.Random) -> Iterator[Genotype]:
        """Networks that differ in one gene: all of them, or `count` of them where there are more."""
        steps = self._changes if len(self._changes) <= count else rng.sample(self._changes, count)
        for position, choice in steps:
            if genotype[position] != choice:
                yield self._space.canonical((*genotype[:position], choice, *genotype[position + 1 :]))

    def _pointed(
        self, genotypes: Iterator[Genotype] | Sequence[Genotype], known: Collection[Genotype]
    ) -> dict[Genotype, Point]:
        points = {g: self._encoder.point(g) for g in genotypes if g not in known}
        return {genotype: point for genotype, point in points.items() if point.feasible}

    def _near(self, front: Sequence[Genotype], rng: random.Random) -> Iterator[Genotype]:
        share = max(1, self.amounts.neighbours // max(1, len(front)))
        for member in front:
            yield from self._steps(member, share, rng)

    def _far(self, front: Sequence[Genotype], rng: random.Random) -> Iterator[Genotype]:
        for _ in range(self.amounts.mutants if front else 0):
            parent = list(rng.choice(front))
            other = rng.choice(front)
            if rng.random() < 0.5:  # every second one takes about a third of its genes from another member
                parent = [b if rng.random() < 0.3 else a for a, b in zip(parent, other, strict=True)]
            for position in rng.sample(range(len(parent)), min(2, len(parent))):
                parent[position] = rng.choice(self._space.genes[position].choices)
            yield self._space.canonical(tuple(parent))

    def _anywhere(self, rng: random.Random) -> Iterator[Genotype]:
        for _ in range(self.amounts.random):
            yield self._mixed(rng, rng.random())

    def spread(self, rng: random.Random) -> Genotype:
        """A random network within the limits, of random size."""
        return self._feasible.repair(self._mixed(rng, rng.random()), rng)

    def _mixed(self, rng: random.Random, keep: float) -> Genotype:
        """A random network in which each ordinal gene is the cheapest network's with probability `keep`.

        Genes drawn uniformly give networks of much the same cost, because it is a sum of many terms; with a `keep`
        drawn for each network, small ones come up as often as large ones. Types are drawn uniformly all the same:
        their effect has to be learned choice by choice.
        """
        parts = zip(self._space.genes, self._feasible.cheapest, self._space.random(rng), strict=True)
        mixed = (cheap if gene.ordinal and rng.random() < keep else drawn for gene, cheap, drawn in parts)
        return self._space.canonical(tuple(mixed))
