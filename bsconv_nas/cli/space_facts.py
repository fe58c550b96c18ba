"""Facts of a search space under limits, as `spaces show` and the head of a search print them."""

from typing import Any

from bsconv_nas.base.limits import Limits
from bsconv_nas.base.units import format_amount
from bsconv_nas.spaces.genes import extreme
from bsconv_nas.spaces.networks import ArchSpace
from bsconv_nas.spaces.share import share_within


def space_facts(space: ArchSpace, limits: Limits) -> dict[str, Any]:
    """How many networks and genes, which MACs, and the share of random networks within the limits, as plain data."""
    cheapest = extreme(space, lambda genotype: space.cost(genotype)["macs"])
    largest = extreme(space, lambda genotype: -space.cost(genotype)["macs"])
    return {
        "name": space.name,
        "networks": space.size,
        "genes": len(space.genes),
        "macs_range": [int(space.cost(cheapest)["macs"]), int(space.cost(largest)["macs"])],
        "limits": dict(limits.bounds),
        "share_within_limits": share_within(space, limits),
    }


def facts_line(facts: dict[str, Any], limits: Limits) -> str:
    """The facts in one line."""
    least, most = facts["macs_range"]
    text = f"{facts['name']}: {facts['networks']:.1e} networks of {format_amount(least)} to {format_amount(most)} MACs"
    return f"{text}; {_share_text(facts['share_within_limits'])} {limits}" if limits.bounds else text


def _share_text(share: float) -> str:
    """A share of random networks, with its verb: `1.6 % of random ones have`, `about 1 in 50 000 random ones has`."""
    if share >= 0.001:
        return f"{100 * share:.3g} % of random ones have"
    if share == 0:
        return "fewer than 1 in 1 000 000 random ones have"
    rounded = float(f"{1 / share:.1g}")
    return f"about 1 in {rounded:,.0f} random ones has".replace(",", " ")
