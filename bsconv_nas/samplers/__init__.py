"""Samplers by name. To add one: a row in `SAMPLERS`, or in `STOCK_SAMPLERS` for one that comes with Optuna."""

from collections.abc import Callable
from dataclasses import dataclass

from optuna.samplers import BaseSampler, GPSampler, NSGAIIISampler, NSGAIISampler, RandomSampler, TPESampler

from bsconv_nas.base.limits import Limits
from bsconv_nas.base.text import did_you_mean
from bsconv_nas.errors import UsageError
from bsconv_nas.samplers.base import SpaceSampler
from bsconv_nas.samplers.custom import SamplerFactory, factory_from
from bsconv_nas.samplers.options import SamplerOptions
from bsconv_nas.samplers.repaired import RepairedSampler
from bsconv_nas.spaces.genes import GeneSpace
from bsconv_nas.study.opening import experimental_allowed

DEFAULT_SAMPLER = "known-cost"

# What `search(sampler=...)` takes: a name of `SAMPLERS`, an Optuna sampler, or a function that makes one from a seed.
SamplerLike = str | BaseSampler | SamplerFactory

SpaceSamplerFactory = Callable[[GeneSpace, Limits, int, SamplerOptions], SpaceSampler]


@dataclass(frozen=True, slots=True)
class SamplerEntry:
    """A sampler of the registry.

    Args:
        make: makes it from space, limits, seed and options.
        takes: those of "top1_floor" and "warm_start" that mean something to it; the others are refused.
    """

    make: SpaceSamplerFactory
    takes: frozenset[str] = frozenset()


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
STOCK_SAMPLERS: dict[str, SamplerFactory] = {
    "tpe": _tpe,
    "nsga2": lambda seed: NSGAIISampler(seed=seed),
    "nsga3": lambda seed: NSGAIIISampler(seed=seed),
    "random": lambda seed: RandomSampler(seed=seed),
    "gp": _gp,
}


def repaired(make: SamplerFactory) -> SamplerEntry:
    """The row of an Optuna sampler, made from a seed, that knows neither the limits nor what is trained already."""
    return SamplerEntry(lambda space, limits, seed, options: RepairedSampler(make, space, limits, seed))


SAMPLERS: dict[str, SamplerEntry] = {
    "known-cost": SamplerEntry(_known_cost, takes=frozenset({"top1_floor", "warm_start"})),
    **{name: repaired(make) for name, make in STOCK_SAMPLERS.items()},
}


def sampler_name(sampler: SamplerLike) -> str:
    """What studies and reports call a sampler: its name in `SAMPLERS`, else the name of its class.

    Raises:
        UsageError: not a sampler (see `custom.factory_from`).
    """
    if isinstance(sampler, str):
        return sampler
    if isinstance(sampler, BaseSampler):
        return type(sampler).__name__
    with experimental_allowed():
        return type(factory_from(sampler)(0)).__name__


def check_sampler(sampler: SamplerLike, top1_floor: bool = False, warm_start: bool = False) -> None:
    """Refuse what is no sampler, and options that are set but mean nothing to this one.

    Raises:
        UsageError: an unknown name, something that is neither a sampler nor a function from a seed to one, a floor or
            a warm start for a sampler that does not take it.
    """
    if isinstance(sampler, str) and sampler not in SAMPLERS:
        raise UsageError(f"unknown sampler {sampler!r}; {did_you_mean(sampler, SAMPLERS)}")
    name = sampler_name(sampler)
    takes = SAMPLERS[sampler].takes if isinstance(sampler, str) else frozenset[str]()
    for option, is_set in {"top1_floor": top1_floor, "warm_start": warm_start}.items():
        if is_set and option not in takes:
            able = " or ".join(other for other, entry in SAMPLERS.items() if option in entry.takes)
            raise UsageError(f"sampler {name} has no {option}; leave it out, or use {able}")


def make_sampler(
    sampler: SamplerLike, space: GeneSpace, limits: Limits, seed: int, options: SamplerOptions | None = None
) -> SpaceSampler:
    """The sampler for a space: it never proposes a network over the limits or an already known one.

    A `SpaceSampler` is taken as it is. Any other Optuna sampler is wrapped (see `RepairedSampler`): each proposal comes
    from a copy of it whose random generators are seeded from `seed` and the trial's number, or, of a function, from
    what it makes of such a seed. So it must read what it knows from the study; the seed that it was made with, and
    what it keeps in memory, count for nothing.

    Raises:
        UsageError: not a sampler, an option that means nothing to this one, or a `SpaceSampler` that was made for
            another space or other limits.
        BudgetError: no network of the space is within the limits.
    """
    options = options or SamplerOptions()
    check_sampler(sampler, top1_floor=options.top1_floor is not None, warm_start=bool(options.earlier))
    if isinstance(sampler, str):
        return SAMPLERS[sampler].make(space, limits, seed, options)
    if isinstance(sampler, SpaceSampler):
        _check_made_for(sampler, space, limits)
        return sampler
    return RepairedSampler(factory_from(sampler), space, limits, seed)


def _check_made_for(sampler: SpaceSampler, space: GeneSpace, limits: Limits) -> None:
    made_for = (sampler.space.fingerprint, sampler.feasible.limits)
    if made_for != (space.fingerprint, limits):
        raise UsageError(
            f"sampler {type(sampler).__name__} was made for space {sampler.space.name!r} within "
            f"{sampler.feasible.limits}; this search is of space {space.name!r} within {limits}; make it for these"
        )


__all__ = [
    "DEFAULT_SAMPLER",
    "SAMPLERS",
    "STOCK_SAMPLERS",
    "RepairedSampler",
    "SamplerEntry",
    "SamplerFactory",
    "SamplerLike",
    "SamplerOptions",
    "SpaceSampler",
    "check_sampler",
    "make_sampler",
    "repaired",
    "sampler_name",
]
