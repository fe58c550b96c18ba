"""What a search may tell a sampler beside space, limits and seed."""

from dataclasses import dataclass

from bsconv_nas.spaces.genes import Genotype


@dataclass(frozen=True, slots=True)
class Earlier:
    """A network that an earlier study trained, and its accuracy there, in [0, 1]."""

    genotype: Genotype
    top1: float


@dataclass(frozen=True, slots=True)
class SamplerOptions:
    """Options of the known-cost sampler; the defaults mean nothing to others.

    Args:
        references: whether to begin with the hand-made reference networks that are points of the space.
        top1_floor: accuracy below which nothing counts, 0 up to 1; None: derived from the front.
        earlier: results of an earlier study on the same data.
        objective: name of the cost to make low; for every sampler the second value of a trial.
    """

    references: bool = True
    top1_floor: float | None = None
    earlier: tuple[Earlier, ...] = ()
    objective: str = "macs"
