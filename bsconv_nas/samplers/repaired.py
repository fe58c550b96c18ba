"""Optuna's own samplers, with over-budget and known proposals replaced by near ones that are neither."""

import random
from collections.abc import Callable, Sequence
from typing import Any

from optuna import Study
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from bsconv_nas.base.limits import Limits
from bsconv_nas.samplers.base import SpaceSampler
from bsconv_nas.spaces.genes import GeneSpace, Genotype
from bsconv_nas.study.opening import experimental_allowed
from bsconv_nas.study.records import trial_seed

_ASKS = 4


class RepairedSampler(SpaceSampler):
    """Wraps a stock sampler.

    It is asked a few times for a network within the limits and not yet known; then its last proposal is repaired. The
    study stores what is trained, so the stock sampler learns from the repaired network, not from its own proposal.

    Args:
        make: makes the stock sampler from a seed. It is made anew for every trial: whatever it knows, it must read
            from the study.
    """

    def __init__(self, make: Callable[[int], BaseSampler], space: GeneSpace, limits: Limits, seed: int) -> None:
        super().__init__(space, limits, seed)
        self._make = make

    def propose(
        self, study: Study, trial: FrozenTrial, others: Sequence[FrozenTrial], known: set[str], rng: random.Random
    ) -> Genotype:
        with experimental_allowed():
            stock = self._make(trial_seed(self.seed, trial.number))
        stock.before_trial(study, trial)
        over_limit = repeated = 0
        genotype: Genotype | None = None
        for _ in range(_ASKS):
            genotype = self.space.canonical(self.space.from_params(self._ask(stock, study, trial)))
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

    def _ask(self, stock: BaseSampler, study: Study, trial: FrozenTrial) -> dict[str, Any]:
        relative = stock.infer_relative_search_space(study, trial)
        params = stock.sample_relative(study, trial, relative)
        for name, distribution in self.distributions.items():
            if name not in params:
                params[name] = stock.sample_independent(study, trial, name, distribution)
        return params
