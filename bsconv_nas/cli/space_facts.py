"""Facts of a search space under limits, as `spaces show` and the head of a search print them."""

import random
from typing import Any

from bsconv_nas.base.limits import Limits
from bsconv_nas.base.units import format_amount
from bsconv_nas.spaces.genes import extreme
from bsconv_nas.spaces.networks import ArchSpace

_SAMPLES = 2_000


def space_facts(space: ArchSpace, limits: Limits) -> dict[str, Any]:
    """How many networks and genes, which MACs, and the share of random networks within the limits, as plain data."""
    rng = random.Random(0)
    within = sum(limits.allow(space.cost(space.random(rng))) for _ in range(_SAMPLES))
    cheapest = extreme(space, lambda genotype: space.cost(genotype)["macs"])
    largest = extreme(space, lambda genotype: -space.cost(genotype)["macs"])
    return {
        "name": space.name,
        "networks": space.size,
        "genes": len(space.genes),
        "macs_range": [int(space.cost(cheapest)["macs"]), int(space.cost(largest)["macs"])],
        "limits": dict(limits.bounds),
        "share_within_limits": within / _SAMPLES,
    }


def facts_line(facts: dict[str, Any], limits: Limits) -> str:
    """The facts in one line."""
    least, most = facts["macs_range"]
    text = f"{facts['name']}: {facts['networks']:.1e} networks of {format_amount(least)} to {format_amount(most)} MACs"
    return f"{text}; {100 * facts['share_within_limits']:.3g} % of them within {limits}" if limits.bounds else text
