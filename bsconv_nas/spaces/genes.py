"""Search spaces as lists of genes with a known cost: all that samplers and the search need to know.

A genotype is a flat tuple of choices, one per gene and always of full length. Spaces of networks derive from
`GeneSpace` (see `networks.py`); a user's own space is a `GeneSpace` with any genes and any cost function.
"""

import hashlib
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from bsconv_nas.base.files import canonical_json
from bsconv_nas.base.html_table import html_table
from bsconv_nas.base.units import counted
from bsconv_nas.errors import SpaceError

Choice = str | int | float | bool
Genotype = tuple[Choice, ...]
Costs = Mapping[str, float]
Traits = Mapping[str, float]
ENUMERABLE = 5_000
_SHOWN_CHOICES = 12  # of a gene, in a notebook

CostFunction = Callable[[Genotype], Costs]
TraitFunction = Callable[[Genotype], Traits]


@dataclass(frozen=True, slots=True)
class Gene:
    """One decision: a name and its choices; `ordinal` when neighbouring choices resemble each other."""

    name: str
    choices: tuple[Choice, ...]
    ordinal: bool

    def index(self, choice: Choice) -> int:
        """Position of `choice`.

        Raises:
            SpaceError: not one of the choices.
        """
        for position, known in enumerate(self.choices):
            if known == choice and isinstance(known, bool) == isinstance(choice, bool):
                return position
        raise SpaceError(f"gene {self.name!r} is {choice!r}; allowed: {', '.join(map(str, self.choices))}")


class GeneSpace:
    """A search space: named genes, their choices and the exact cost of every genotype.

    Args:
        genes: choices by gene name. Sorted numbers make an ordinal gene, everything else a categorical one.
        cost: maps a genotype to its costs by name, for example `{"macs": 12e6}`; it must always give the same answer.
        categorical: names of genes whose numbers are mere labels.
        name: shown in tables and stored with a study.
        traits: maps a genotype to other numbers, by name, that accuracy may follow (see `GeneSpace.traits`).
        expected: what learning begins from: by how many deviations the log error rises with each trait's 1, or with a
            cost from the cheapest network to the limit, other things being equal. What is not named: 0.

    Raises:
        SpaceError: no genes, a gene without choices or with repeated ones, unknown names in `categorical`.
    """

    def __init__(
        self,
        genes: Mapping[str, Sequence[Choice]],
        cost: CostFunction,
        *,
        categorical: Sequence[str] = (),
        name: str = "custom",
        traits: TraitFunction | None = None,
        expected: Mapping[str, float] | None = None,
    ) -> None:
        for unknown in set(categorical) - set(genes):
            raise SpaceError(f"categorical names an unknown gene {unknown!r}; known: {', '.join(genes)}")
        if not genes:
            raise SpaceError("a search space has no genes; give at least one, for example {'width': [8, 16]}")
        self.name = name
        self.genes = tuple(_gene(gene, choices, gene in categorical) for gene, choices in genes.items())
        self._cost = cost
        self._traits = traits
        self.expected: Mapping[str, float] = dict(expected or {})

    def __repr__(self) -> str:
        """One line: the name, how many genes and how many networks."""
        size = Decimal(self.size)  # which may be larger than any float
        return f"{type(self).__name__} {self.name!r}: {counted(len(self.genes), 'gene')}, {size:.4g} networks"

    def _repr_html_(self) -> str:
        """The genes as a table, which notebooks show."""
        rows = [(gene.name, _shown_choices(gene), "yes" if gene.ordinal else "no") for gene in self.genes]
        return html_table(repr(self), ("gene", "choices", "ordered"), rows)

    @property
    def size(self) -> int:
        """Number of distinct networks."""
        return math.prod(len(gene.choices) for gene in self.genes)

    @property
    def fingerprint(self) -> str:
        """Hash of everything that gives a genotype its meaning; a study keeps to one fingerprint."""
        return hashlib.sha256(canonical_json(self.description()).encode()).hexdigest()[:16]

    def description(self) -> dict[str, object]:
        """Plain data for JSON that the fingerprint is made of."""
        return {"genes": [[gene.name, list(gene.choices)] for gene in self.genes]}

    def cost(self, genotype: Genotype) -> dict[str, float]:
        """Exact costs by name.

        Raises:
            SpaceError: a cost that is not a finite number.
        """
        costs = self._cost(genotype)
        if not isinstance(costs, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise SpaceError(f"the cost of {genotype} is {costs!r}; return costs by name, for example {{'macs': 12e6}}")
        return {name: _finite(value, f"cost {name!r}", genotype) for name, value in costs.items()}

    def traits(self, genotype: Genotype) -> dict[str, float]:
        """Numbers, by name and the same names for all, that accuracy may follow; known before training, no costs.

        The known-cost sampler learns how the log error changes with each, along a straight line. They should differ by
        about 1 over the space. Give few: one that has nothing to say makes predictions from few networks worse.

        Raises:
            SpaceError: a trait that is not a finite number.
        """
        traits = self._traits(genotype) if self._traits else {}
        return {name: _finite(value, f"trait {name!r}", genotype) for name, value in traits.items()}

    def canonical(self, genotype: Genotype) -> Genotype:
        """The one genotype that stands for all that give the same network; here, itself."""
        return genotype

    def identity(self, genotype: Genotype) -> str:
        """Name of the network: equal for two genotypes exactly when they give the same network."""
        return hashlib.sha256(canonical_json(self.canonical(genotype)).encode()).hexdigest()[:12]

    def check(self, genotype: Sequence[Choice]) -> Genotype:
        """The genotype as a tuple of this space's own choices.

        Raises:
            SpaceError: wrong length or a choice that its gene does not have.
        """
        if len(genotype) != len(self.genes):
            raise SpaceError(f"a genotype of space {self.name!r} has {len(self.genes)} genes, got {len(genotype)}")
        return tuple(gene.choices[gene.index(c)] for gene, c in zip(self.genes, genotype, strict=True))

    def random(self, rng: Random) -> Genotype:
        """A canonical genotype with every gene drawn uniformly."""
        return self.canonical(tuple(rng.choice(gene.choices) for gene in self.genes))

    def neighbours(self, genotype: Genotype) -> Iterator[Genotype]:
        """All canonical genotypes that differ in one gene (and in the genes that this one switches on or off)."""
        seen = {genotype}
        for position, gene in enumerate(self.genes):
            for choice in gene.choices:
                changed = self.canonical((*genotype[:position], choice, *genotype[position + 1 :]))
                if changed not in seen:
                    seen.add(changed)
                    yield changed

    def enumerate(self) -> Iterator[Genotype]:
        """All canonical genotypes, each once, in a fixed order."""
        seen: set[Genotype] = set()
        for choices in itertools.product(*(gene.choices for gene in self.genes)):
            genotype = self.canonical(choices)
            if genotype not in seen:
                seen.add(genotype)
                yield genotype

    def to_params(self, genotype: Genotype) -> dict[str, Choice]:
        """Choices by gene name."""
        return {gene.name: choice for gene, choice in zip(self.genes, genotype, strict=True)}

    def from_params(self, params: Mapping[str, Choice]) -> Genotype:
        """The genotype of choices by gene name.

        Raises:
            SpaceError: a gene is missing, or has a choice that it does not know.
        """
        missing = [gene.name for gene in self.genes if gene.name not in params]
        if missing:
            raise SpaceError(f"genotype lacks gene {missing[0]!r}; required: {', '.join(g.name for g in self.genes)}")
        return self.check([params[gene.name] for gene in self.genes])


def extreme(space: GeneSpace, score: Callable[[Genotype], float], starts: int = 16) -> Genotype:
    """The genotype with the least `score`. Deterministic.

    Exact by enumeration in spaces of up to `ENUMERABLE` genotypes. Beyond, by coordinate descent from the first
    choices, the last ones and random genotypes. One start alone may end in a local optimum, because genes interact: a
    stage of depth 0 takes its stride along, so the stages behind it run at a higher resolution.
    """
    if space.size <= ENUMERABLE:
        return min(space.enumerate(), key=score)
    rng = Random(0)
    corners = [space.canonical(tuple(gene.choices[end] for gene in space.genes)) for end in (0, -1)]
    begins = [*corners, *(space.random(rng) for _ in range(starts - len(corners)))]
    return min((_descend(space, score, begin) for begin in begins), key=score)


def _descend(space: GeneSpace, score: Callable[[Genotype], float], genotype: Genotype) -> Genotype:
    value = score(genotype)
    improved = True
    while improved:
        improved = False
        for position, gene in enumerate(space.genes):
            for choice in gene.choices:
                changed = space.canonical((*genotype[:position], choice, *genotype[position + 1 :]))
                changed_value = score(changed)
                if changed_value < value:
                    genotype, value, improved = changed, changed_value, True
    return genotype


def _shown_choices(gene: Gene) -> str:
    if len(gene.choices) <= _SHOWN_CHOICES:
        return ", ".join(map(str, gene.choices))
    first = ", ".join(map(str, gene.choices[: _SHOWN_CHOICES - 1]))
    return f"{first}, ... {gene.choices[-1]} ({len(gene.choices)} choices)"


def _finite(value: float, what: str, genotype: Genotype) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise SpaceError(f"{what} of {genotype} is {value!r}; allowed: finite numbers")
    return number


def _gene(name: str, choices: Sequence[Choice], categorical: bool) -> Gene:
    values = tuple(choices)
    if not values:
        raise SpaceError(f"gene {name!r} has no choices; give at least one")
    for value in values:
        known_type = isinstance(value, str | int | float)  # pyright: ignore[reportUnnecessaryIsInstance]
        if not known_type or (isinstance(value, float) and not math.isfinite(value)):
            raise SpaceError(f"gene {name!r} has the choice {value!r}; allowed: text, finite numbers, true, false")
    if len(set(values)) != len(values):  # 1, 1.0 and True are one key of a set or a dict, so one choice
        raise SpaceError(f"gene {name!r} repeats a choice: {', '.join(map(str, values))}; list each once")
    numbers = [v for v in values if not isinstance(v, str | bool)]
    ordinal = len(numbers) == len(values) and numbers == sorted(numbers) and not categorical
    return Gene(name, values, ordinal)
