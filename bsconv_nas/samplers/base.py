"""The base of samplers that know the space: each proposes whole genotypes, never over the limits, never known ones."""

import random
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from bsconv_nas.base.limits import Limits
from bsconv_nas.errors import SpaceError
from bsconv_nas.samplers.feasible import Feasible
from bsconv_nas.spaces.genes import GeneSpace, Genotype
from bsconv_nas.study.records import trial_seed


class SpaceSampler(BaseSampler):
    """An Optuna sampler over a `GeneSpace`, usable in a plain Optuna study too.

    The objective must ask for every gene by `trial.suggest_categorical(gene.name, gene.choices)`. A proposal is a
    function of (seed, trial number, earlier trials) alone, so a restarted search proposes what it would have proposed.
    `avoided` counts, by trial number, proposals that were over the limits or known and therefore replaced.

    Raises:
        BudgetError: no network of the space is within the limits.
    """

    def __init__(self, space: GeneSpace, limits: Limits, seed: int) -> None:
        self.space = space
        self.feasible = Feasible(space, limits)
        self.seed = seed
        self.avoided: dict[int, dict[str, int]] = {}
        self.distributions: dict[str, BaseDistribution] = {
            gene.name: CategoricalDistribution(gene.choices) for gene in space.genes
        }
        self._identities: dict[str, dict[int, str]] = {}  # by study and trial number

    @abstractmethod
    def propose(
        self, study: Study, trial: FrozenTrial, others: Sequence[FrozenTrial], known: set[str], rng: random.Random
    ) -> Genotype:
        """A genotype within the limits whose identity is not in `known`; `others` are the study's other trials."""

    def known_identities(self, study: Study) -> set[str]:
        """Identities of the networks of all trials of the study."""
        return self._identities_of(study, study.get_trials(deepcopy=False))

    def _identities_of(self, study: Study, trials: Sequence[FrozenTrial]) -> set[str]:
        known = self._identities.setdefault(study.study_name, {})
        for trial in trials:
            if trial.number not in known and trial.params.keys() >= self.distributions.keys():
                # A search stores it: decoding 10 000 networks again would take half a minute.
                stored = trial.user_attrs.get("identity")
                known[trial.number] = stored or self.space.identity(self.space.from_params(trial.params))
        return {known[trial.number] for trial in trials if trial.number in known}

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self.distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        others = [other for other in study.get_trials(deepcopy=False) if other.number != trial.number]
        known = self._identities_of(study, others)
        rng = random.Random(trial_seed(self.seed, trial.number))
        return self.space.to_params(self.propose(study, trial, others, known, rng))

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        known = ", ".join(self.distributions)
        raise SpaceError(
            f"{param_name!r} with these choices is not a gene of space {self.space.name!r}; ask for: {known}"
        )

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Nothing to do: everything is read from the study when it is needed."""
