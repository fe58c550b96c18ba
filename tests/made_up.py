"""A sampler and an early-stopping rule that the package does not have, for tests that add them; importable anywhere."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from bsconv_nas.evaluation import Curve


class Wanderer(BaseSampler):
    """An Optuna sampler that knows neither limits nor what is trained already.

    It draws some genes with Python's random numbers and some with numpy's, and, once there are trials, half of the
    genes of the best one: so it shows whether it reads the study and whether its random numbers can be repeated.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._python = random.Random(seed)
        self._numpy = [np.random.default_rng(seed)]

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        assert isinstance(param_distribution, CategoricalDistribution)
        trials = [other for other in study.get_trials(deepcopy=False) if other.values]
        if trials and self._python.random() < 0.5:
            return max(trials, key=lambda other: other.values[0]).params[param_name]
        choices = param_distribution.choices
        return choices[int(self._numpy[0].integers(len(choices)))]


def wanderer(seed: int) -> Wanderer:
    """A function from a seed to a sampler."""
    return Wanderer(seed)


@dataclass(frozen=True)
class StopsBelow:
    """Stops trainings whose accuracy at the first decision is below half of the best.

    `first_rung` is the epoch of the only decision.
    """

    first_rung: int = 2

    def continues(self, cost: float, curve: Curve, others: Iterable[tuple[float, Curve]]) -> bool:
        best = max((other[-1].top1 for _, other in others if other), default=0.0)
        return not curve or curve[-1].epoch != self.first_rung or curve[-1].top1 >= best / 2
