"""The first networks of a search, before a model of accuracy says anything."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence

from bsconv_nas.samplers.candidates import Candidates
from bsconv_nas.samplers.encoding import Encoder, Point
from bsconv_nas.samplers.feasible import Feasible
from bsconv_nas.spaces.genes import GeneSpace, Genotype

_POOL = 24  # random networks that each first network is chosen from
_GOLDEN = 0.6180339887


class Design:
    """Chooses networks of all sizes in which each choice of each gene comes up.

    A model that has seen little takes choices that were never tried for harmless. After a start with random networks of
    random sizes, in which the smallest choices are frequent, a search of a space with three layer types proposed only
    one of the types for 40 trainings.

    Args:
        space: the space.
        feasible: its part within the limits.
        encoder: gives points.
        candidates: gives random networks.
        references: networks to begin with; those over the limits are left out.
        informed: whether an earlier study tells so much that no networks besides the references are needed.
    """

    def __init__(
        self,
        space: GeneSpace,
        feasible: Feasible,
        encoder: Encoder,
        candidates: Candidates,
        references: Sequence[Genotype],
        informed: bool = False,
    ) -> None:
        self._space = space
        self._feasible = feasible
        self._encoder = encoder
        self._candidates = candidates
        self._references = [genotype for genotype in references if feasible.contains(genotype)]
        self._informed = informed

    def size(self, usual: int) -> int:
        """Number of first networks: the usual number, or more so that half of the usual number are no references."""
        return len(self._references) if self._informed else max(usual, len(self._references) + usual // 2)

    def next(self, taken: Iterable[Genotype], known: set[str], rng: random.Random) -> Genotype:
        """The next one after those in `taken`; its identity is not in `known`."""
        for genotype in self._references:
            if self._space.identity(genotype) not in known:
                return genotype
        points = [self._encoder.point(genotype) for genotype in taken]
        # The position on the cost axis to come close to: multiples of the golden ratio, modulo 1, fill it evenly.
        target = (0.5 + len(points) * _GOLDEN) % 1
        seen = [Counter(codes) for codes in zip(*(point.codes for point in points), strict=True)]
        pool = [self._candidates.spread(rng) for _ in range(_POOL)]
        best = max(pool, key=lambda genotype: self._worth(self._encoder.point(genotype), target, seen, len(points)))
        return self._feasible.novel(best, known, rng)

    def _worth(self, point: Point, target: float, seen: Sequence[Counter[int]], count: int) -> float:
        new = [1 / (1 + choices[code]) for code, choices in zip(point.codes, seen, strict=False)]
        # As counts grow each 1 / (1 + count) shrinks; the factor makes up for it over the first four networks.
        newness = sum(new) / max(1, len(new)) * min(count + 1, 4) / 2
        return newness - abs(point.position - target)
