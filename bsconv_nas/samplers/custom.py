"""Samplers that a user brings: an Optuna sampler, or a function that makes one from a seed."""

import copy
import inspect
import random
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from optuna.samplers import BaseSampler

from bsconv_nas.errors import UsageError

SamplerFactory = Callable[[int], BaseSampler]

_ALLOWED = "a name, an Optuna sampler such as TPESampler(seed=0), or a function from a seed to one"


def factory_from(sampler: BaseSampler | SamplerFactory) -> SamplerFactory:
    """A function from seed to sampler, for `RepairedSampler`, from what a user gave for a sampler.

    Raises:
        UsageError: a class, a sampler that cannot be copied, a function that does not take a seed alone, or something
            else.
    """
    if isinstance(sampler, type):
        raise UsageError(_class_message(sampler))
    if isinstance(sampler, BaseSampler):
        return partial(reseeded, _prototype(sampler))
    if not callable(sampler):  # pyright: ignore[reportUnnecessaryComparison]
        raise UsageError(f"sampler is {sampler!r:.80}; allowed: {_ALLOWED}")
    _check_takes_seed(sampler)
    return partial(_made, sampler)


def reseeded(sampler: BaseSampler, seed: int) -> BaseSampler:
    """A copy of a sampler in which every random generator of Python or numpy starts anew from `seed`.

    Generators are found wherever the sampler holds them, in other samplers too. So what the copy proposes follows from
    the seed and from what it reads in the study, not from how often the original was asked before.
    """
    copies: dict[int, Any] = {}
    copied = copy.deepcopy(sampler, copies)  # which leaves in `copies` every object that was copied
    seeds = random.Random(seed)
    for part in list(copies.values()):
        if isinstance(part, random.Random | np.random.RandomState):
            part.seed(seeds.getrandbits(32))
        elif isinstance(part, np.random.BitGenerator):
            part.state = type(part)(seeds.getrandbits(32)).state
    return copied


def _prototype(sampler: BaseSampler) -> BaseSampler:
    """A copy of a sampler, with the random generators that Optuna's samplers make only when they first need them."""
    try:
        prototype = copy.deepcopy(sampler)
    except (TypeError, RuntimeError, copy.Error) as error:
        name = type(sampler).__name__
        raise UsageError(
            f"sampler {name} cannot be copied for each proposal ({error}); give a function that makes it from a seed, "
            f"such as lambda seed: {name}(seed=seed)"
        ) from error
    prototype.reseed_rng()
    return prototype


def _made(factory: SamplerFactory, seed: int) -> BaseSampler:
    sampler = factory(seed)
    if not isinstance(sampler, BaseSampler):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(
            f"sampler function {_name(factory)} returned {sampler!r:.80} for seed {seed}; it must return an Optuna "
            "sampler, such as TPESampler(seed=seed)"
        )
    return sampler


def _check_takes_seed(factory: SamplerFactory) -> None:
    try:
        signature = inspect.signature(factory)
    except ValueError:  # some functions that are written in C have none
        return
    try:
        signature.bind(0)
    except TypeError as error:
        raise UsageError(
            f"sampler function {_name(factory)} cannot be called with a seed alone ({error}); write for example "
            "lambda seed: TPESampler(seed=seed)"
        ) from error


def _class_message(sampler: type) -> str:
    name = sampler.__name__
    if issubclass(sampler, BaseSampler):
        return f"sampler is the class {name}; call it, such as {name}(seed=0), or give a function from a seed to one"
    return f"sampler is the class {name}; allowed: {_ALLOWED}"


def _name(factory: SamplerFactory) -> str:
    return getattr(factory, "__name__", type(factory).__name__)
