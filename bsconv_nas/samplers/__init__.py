"""Samplers by name. To add one: a row in `SAMPLERS`, or in `STOCK_SAMPLERS` for one that comes with Optuna."""

from collections.abc import Callable

from optuna.samplers import BaseSampler, GPSampler, NSGAIIISampler, NSGAIISampler, RandomSampler, TPESampler

from bsconv_nas.base.limits import Limits
from bsconv_nas.base.text import did_you_mean
from bsconv_nas.errors import UsageError
from bsconv_nas.samplers.base import SpaceSampler
from bsconv_nas.samplers.options import SamplerOptions
from bsconv_nas.samplers.repaired import RepairedSampler
from bsconv_nas.spaces.genes import GeneSpace

DEFAULT_SAMPLER = "known-cost"

StockFactory = Callable[[int], BaseSampler]
Factory = Callable[[GeneSpace, Limits, int, SamplerOptions], SpaceSampler]


def _known_cost(space: GeneSpace, limits: Limits, seed: int, options: SamplerOptions) -> SpaceSampler:
    from bsconv_nas.samplers.known_cost import KnownCostSampler  # loads scipy, which other samplers do without

    return KnownCostSampler(
        space,
        limits,
        seed,
        references=options.references,
        top1_floor=options.top1_floor,
        earlier=options.earlier,
        objective=options.objective,
    )


def _tpe(seed: int) -> BaseSampler:
    # Multivariate: at 1000 trials of 40 genes it asks 8 times faster than the univariate default.
    return TPESampler(seed=seed, multivariate=True, constant_liar=True)


def _gp(seed: int) -> BaseSampler:
    return GPSampler(seed=seed, deterministic_objective=False)


# Optuna's samplers by the name on the command line; each is made anew for every proposal, from its seed.
STOCK_SAMPLERS: dict[str, StockFactory] = {
    "tpe": _tpe,
    "nsga2": lambda seed: NSGAIISampler(seed=seed),
    "nsga3": lambda seed: NSGAIIISampler(seed=seed),
    "random": lambda seed: RandomSampler(seed=seed),
    "gp": _gp,
}


def _repaired(make: StockFactory) -> Factory:
    return lambda space, limits, seed, options: RepairedSampler(make, space, limits, seed)


SAMPLERS: dict[str, Factory] = {
    "known-cost": _known_cost,
    **{name: _repaired(make) for name, make in STOCK_SAMPLERS.items()},
}


def check_sampler(name: str, top1_floor: bool = False, warm_start: bool = False) -> None:
    """Refuse the name of a sampler that there is not, and options that are given but mean nothing to it.

    Raises:
        UsageError: unknown name, a floor or a warm start for a sampler other than known-cost.
    """
    if name not in SAMPLERS:
        raise UsageError(f"unknown sampler {name!r}; {did_you_mean(name, SAMPLERS)}")
    given = {"top1_floor": top1_floor, "warm_start": warm_start}
    for option in (option for option, is_given in given.items() if is_given and name != "known-cost"):
        raise UsageError(f"sampler {name} has no {option}; leave it out, or use known-cost")


def make_sampler(
    name: str, space: GeneSpace, limits: Limits, seed: int, options: SamplerOptions | None = None
) -> SpaceSampler:
    """The sampler of that name for a space: it never proposes a network over the limits or an already known one.

    Raises:
        UsageError: unknown name, or an option that means nothing to this sampler.
        BudgetError: no network of the space is within the limits.
    """
    options = options or SamplerOptions()
    check_sampler(name, top1_floor=options.top1_floor is not None, warm_start=bool(options.earlier))
    return SAMPLERS[name](space, limits, seed, options)


__all__ = [
    "DEFAULT_SAMPLER",
    "SAMPLERS",
    "STOCK_SAMPLERS",
    "RepairedSampler",
    "SamplerOptions",
    "SpaceSampler",
    "check_sampler",
    "make_sampler",
]
