"""Samplers that know nothing of limits, with over-budget and known proposals replaced by near ones that are neither."""

import copy
import random
from collections.abc import Sequence
from typing import Any

from optuna import Study
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from bsconv_nas.base.limits import Limits
from bsconv_nas.samplers.base import SpaceSampler
from bsconv_nas.samplers.custom import SamplerFactory
from bsconv_nas.spaces.genes import GeneSpace, Genotype
from bsconv_nas.study.opening import experimental_allowed
from bsconv_nas.study.records import trial_seed

_ASKS = 4


class RepairedSampler(SpaceSampler):
    """Wraps any Optuna sampler: one that comes with Optuna, or a user's.

    For each trial it is asked up to four times for a network within the limits that is not yet known; then its last
    proposal is repaired. The study stores the network that is trained, so the wrapped sampler learns from that one and
    not from what it proposed.

    Args:
        make: makes the wrapped sampler from a seed. It is made anew for every trial, from a seed that follows from
            `seed` and the trial's number: whatever else it knows, it must read from the study.
        space, limits, seed: as in `SpaceSampler`.
    """

    def __init__(self, make: SamplerFactory, space: GeneSpace, limits: Limits, seed: int) -> None:
        super().__init__(space, limits, seed)
        self._make = make

    def propose(
        self, study: Study, trial: FrozenTrial, others: Sequence[FrozenTrial], known: set[str], rng: random.Random
    ) -> Genotype:
        with experimental_allowed():
            wrapped = self._make(trial_seed(self.seed, trial.number))
        wrapped.before_trial(study, trial)
        over_limit = repeated = 0
        genotype: Genotype | None = None
        for _ in range(_ASKS):
            genotype = self.space.canonical(self.space.from_params(self._ask(wrapped, study, trial)))
            if not self.feasible.contains(genotype):
                over_limit += 1
            elif self.space.identity(genotype) in known:
                repeated += 1
            else:
                break
        assert genotype is not None
        if over_limit or repeated:
            self.avoided[trial.number] = {"over_limit": over_limit, "known": repeated}
        return self.feasible.novel(self.feasible.repair(genotype, rng), known, rng)

    def _ask(self, wrapped: BaseSampler, study: Study, trial: FrozenTrial) -> dict[str, Any]:
        relative = wrapped.sample_relative(study, trial, wrapped.infer_relative_search_space(study, trial))
        proposed: dict[str, Any] = {}
        asked = copy.copy(trial)  # as in a plain Optuna study, it holds the genes that are drawn so far
        asked.params, asked.distributions = proposed, {}
        for name, distribution in self.distributions.items():
            drawn = name in relative
            proposed[name] = relative[name] if drawn else wrapped.sample_independent(study, asked, name, distribution)
            asked.distributions[name] = distribution
        return proposed
