"""Finding networks that are within limits and not yet known; nothing is evaluated but costs."""

import math
import random
from collections.abc import Collection, Iterator

from bsconv_nas.base.limits import Limits
from bsconv_nas.base.units import format_amount
from bsconv_nas.errors import BudgetError, SpaceExhaustedError
from bsconv_nas.spaces.genes import ENUMERABLE, GeneSpace, Genotype, extreme

_TRIES = 200  # walks from a genotype, and then random networks, before a large space counts as exhausted


class Feasible:
    """The part of a space that is within limits.

    Raises:
        BudgetError: that part is empty; the message names the cheapest network.
    """

    def __init__(self, space: GeneSpace, limits: Limits) -> None:
        self.space = space
        self.limits = limits
        limits.check_names(space.cost(first_genotype(space)))
        self.cheapest = extreme(space, lambda genotype: limits.excess(space.cost(genotype)))
        if not self.contains(self.cheapest):
            raise BudgetError(_nothing_fits(space, limits, self.cheapest))

    def contains(self, genotype: Genotype) -> bool:
        return self.limits.allow(self.space.cost(genotype))

    def repair(self, genotype: Genotype, rng: random.Random) -> Genotype:
        """A network within the limits that keeps as many choices of `genotype` as it can.

        Genes are set to the cheapest network's, in random order, until the limits hold; then those that turn out not
        to have been needed are set back. At most two cost evaluations per gene.
        """
        genotype = self.space.canonical(genotype)
        if self.contains(genotype):
            return genotype
        order = rng.sample(range(len(genotype)), len(genotype))
        current, changed = genotype, list[int]()
        for position in order:
            if current[position] != self.cheapest[position]:
                current = _with_gene(self.space, current, position, self.cheapest)
                changed.append(position)
                if self.contains(current):
                    break
        if not self.contains(current):  # inactive genes can leave it short of the cheapest network itself
            return self.cheapest
        for position in changed[:-1]:
            restored = _with_gene(self.space, current, position, genotype)
            if self.contains(restored):
                current = restored
        return current

    def novel(self, genotype: Genotype, known: Collection[str], rng: random.Random) -> Genotype:
        """A network within the limits whose identity is not in `known`, close to `genotype`.

        Tries `genotype` itself, all changes of one gene, then walks of growing length, then fresh random networks, and
        in an enumerable space all networks.

        Raises:
            SpaceExhaustedError: none was found.
        """
        for candidate in self._outwards(genotype, rng):
            if self.contains(candidate) and self.space.identity(candidate) not in known:
                return candidate
        raise SpaceExhaustedError(
            f"every network of space {self.space.name!r} within {self.limits} that could be found is already known"
        )

    def exhausted(self, known: Collection[str]) -> bool:
        """Whether all networks within the limits are known; only enumerable spaces can be."""
        if self.space.size > ENUMERABLE:
            return False
        return all(self.space.identity(g) in known for g in self.space.enumerate() if self.contains(g))

    def _outwards(self, genotype: Genotype, rng: random.Random) -> Iterator[Genotype]:
        yield genotype
        neighbours = list(self.space.neighbours(genotype))
        yield from rng.sample(neighbours, len(neighbours))
        for attempt in range(_TRIES):
            walker = genotype
            for _ in range(2 + attempt // 20):
                walker = _mutated(self.space, walker, rng)
            yield self.repair(walker, rng)
        for _ in range(_TRIES):
            yield self.repair(self.space.random(rng), rng)
        if self.space.size <= ENUMERABLE:
            yield from self.space.enumerate()


def first_genotype(space: GeneSpace) -> Genotype:
    """Any genotype of the space, always the same."""
    return space.canonical(tuple(gene.choices[0] for gene in space.genes))


def _with_gene(space: GeneSpace, genotype: Genotype, position: int, source: Genotype) -> Genotype:
    return space.canonical((*genotype[:position], source[position], *genotype[position + 1 :]))


def _mutated(space: GeneSpace, genotype: Genotype, rng: random.Random) -> Genotype:
    position = rng.randrange(len(genotype))
    choice = rng.choice(space.genes[position].choices)
    return space.canonical((*genotype[:position], choice, *genotype[position + 1 :]))


def _rounded_up(value: float) -> str:
    # Not in `format_amount`'s three digits: a limit of the rounded amount might just be too low.
    return str(math.ceil(value)) if value >= 1 else str(value)


def _nothing_fits(space: GeneSpace, limits: Limits, cheapest: Genotype) -> str:
    costs = space.cost(cheapest)
    actual = ", ".join(f"{name} {format_amount(costs[name])}" for name in limits.bounds)
    needed = ", ".join(f"{name} at least {_rounded_up(costs[name])}" for name in limits.bounds)
    return (
        f"no network of space {space.name!r} is within {limits}; its cheapest network "
        f"({space.identity(cheapest)}) has {actual}; allow {needed}, or choose another space"
    )
