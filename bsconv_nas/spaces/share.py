"""How rare networks within the limits are among random ones."""

import random

from bsconv_nas.base.limits import Limits
from bsconv_nas.spaces.genes import GeneSpace, Genotype

_DRAWS = 2_000
_FURTHER_DRAWS = 500  # in each step after the first
_ENOUGH = 10  # of the draws within the limits say how large the share is
_STEP = 0.1  # share of the draws from which the next ones are made
_MOST_STEPS = 6
_MOVES = 5  # changes of a network before it counts as another draw
_REDRAWN = (0.02, 0.1, 0.3)  # shares of the genes that a move draws again


def share_within(space: GeneSpace, limits: Limits, seed: int = 0) -> float:
    """Share of random networks that are within the limits, from 0 to 1; 0 where it is below about one in a million.

    2000 networks are drawn. Where fewer than ten of them are within the limits, the share is found in steps (subset
    simulation, Au and Beck 2001): the tenth that exceeds the limits least is changed at random, and a change is kept
    if it exceeds them no more than that tenth does. That gives draws which are nearer to the limits for the next
    step. Such a share is right to about a factor of two.
    """
    rng = random.Random(seed)
    share = 1.0
    networks = [tuple(rng.choice(gene.choices) for gene in space.genes) for _ in range(_DRAWS)]
    for _ in range(_MOST_STEPS):
        excesses = [_excess(space, limits, network) for network in networks]
        within = sum(excess <= 1 for excess in excesses)
        if within >= _ENOUGH:
            return share * within / len(networks)
        bound = sorted(excesses)[int(_STEP * len(networks))]
        nearest = [network for network, excess in zip(networks, excesses, strict=True) if excess <= bound]
        share *= len(nearest) / len(networks)
        networks = [_moved(space, limits, rng.choice(nearest), bound, rng) for _ in range(_FURTHER_DRAWS)]
    return 0.0


def _moved(space: GeneSpace, limits: Limits, network: Genotype, bound: float, rng: random.Random) -> Genotype:
    for _ in range(_MOVES):
        redrawn = rng.choice(_REDRAWN)
        changed = tuple(
            rng.choice(gene.choices) if rng.random() < redrawn else choice
            for gene, choice in zip(space.genes, network, strict=True)
        )
        if _excess(space, limits, changed) <= bound:
            network = changed
    return network


def _excess(space: GeneSpace, limits: Limits, network: Genotype) -> float:
    return limits.excess(space.cost(space.canonical(network)))
