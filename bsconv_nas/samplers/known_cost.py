"""The sampler for two objectives of which one, the cost, is known before any training."""

import math
import random
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from optuna import Study
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from threadpoolctl import ThreadpoolController

from bsconv_nas.base.limits import Limits
from bsconv_nas.base.text import did_you_mean
from bsconv_nas.errors import UsageError
from bsconv_nas.pareto import CostAxis
from bsconv_nas.samplers.acquisition import FrontSteps, expected_improvement, low_end
from bsconv_nas.samplers.base import SpaceSampler
from bsconv_nas.samplers.candidates import Candidates
from bsconv_nas.samplers.design import Design
from bsconv_nas.samplers.encoding import Encoder, Point
from bsconv_nas.samplers.gp import Floats
from bsconv_nas.samplers.model import Model, Predictor
from bsconv_nas.samplers.observations import finished
from bsconv_nas.samplers.options import Earlier
from bsconv_nas.samplers.warm_start import earlier_front, reference_genotypes
from bsconv_nas.spaces.genes import GeneSpace, Genotype, extreme

_DESIGN = 10  # first networks, which are chosen without the model
_DESIGN_EXPECTING = 4  # the same in a space that says how accuracy follows costs and traits (`GeneSpace.expected`)
# So many networks of an earlier study, trained again, tell how its results relate to this one. With as many, its
# results take the place of random first networks.
_INFORMED = 5
# The hypervolume's reference point lies this share of the cost axis beyond the limit: at the limit itself, a network
# that costs exactly as much as allowed would be worth nothing. A larger share finds the best network within the budget
# sooner and the whole front later (benchmarks/README.md).
_BEYOND = 0.15
_NO_GAIN = 1e-12  # expected gains up to this one are rounding
_DIRECTIONS = [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE]

Scores = dict[Genotype, float]


class KnownCostSampler(SpaceSampler):
    """Proposes the network whose training is expected to enlarge the front most.

    Cost and limits are exact, so only accuracy is modelled: a Gaussian process on log(1 - top1) (see `gp.py`). The
    expected gain in hypervolume then has a closed form (`acquisition.py`). The first networks are the reference
    networks that the space contains, then random ones of all sizes. Running trials count as if they had ended with the
    accuracy that is predicted for them. The final accuracy of early-stopped trials is estimated from their curves, and
    counts with the variance of that estimate. Failed trials are only not proposed again.

    In a plain Optuna study, with accuracy (a fraction, up) first and the cost (down) second:

        import optuna
        from bsconv_nas import GeneSpace
        from bsconv_nas.base.limits import Limits
        from bsconv_nas.samplers.known_cost import KnownCostSampler

        genes = {"width": [8, 16, 32, 64], "depth": [1, 2, 3, 4], "layer": ["U", "S"]}
        space = GeneSpace(genes, cost=lambda g: {"macs": 1e3 * g[0] * g[1] * (1 if g[2] == "U" else 0.5)})

        def objective(trial):
            width, depth, layer = (trial.suggest_categorical(g.name, g.choices) for g in space.genes)
            top1 = 1 - 1 / (1 + width * depth) ** 0.5 - (0.02 if layer == "S" else 0)
            return top1, space.cost((width, depth, layer))["macs"]

        sampler = KnownCostSampler(space, Limits({"macs": 100e3}), seed=0)
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
        study.optimize(objective, n_trials=15)

    Early-stopped trials are read from the user attribute `curve`: rows of epoch, epochs, top1.

    Args:
        space: the search space.
        limits: upper bounds on its costs.
        seed: decides all random choices.
        references: whether to propose the reference networks first.
        top1_floor: accuracy below which nothing counts. None: a tenth of the front's range below its smallest network,
            where one that learned nothing does not stretch the scale (`low_end`), or what is predicted for the cheapest
            network of all if that is lower, which gives small networks their value before any was trained.
        earlier: results of an earlier study on the same data. The best of its networks within the limits are trained
            first, and tell what its other results mean here.
        objective: name of the cost to minimise.

    Raises:
        UsageError: a floor outside [0, 1), a cost that the space does not have, or, when it proposes, a study of other
            objectives.
        BudgetError: no network of the space is within the limits.
    """

    def __init__(
        self,
        space: GeneSpace,
        limits: Limits,
        seed: int,
        *,
        references: bool = True,
        top1_floor: float | None = None,
        earlier: Sequence[Earlier] = (),
        objective: str = "macs",
    ) -> None:
        super().__init__(space, limits, seed)
        if top1_floor is not None and not 0 <= top1_floor < 1:
            raise UsageError(f"top1_floor is {top1_floor}; allowed: 0 up to, but not including, 1, or None")
        costs = space.cost(self.feasible.cheapest)
        if objective not in costs:
            raise UsageError(f"space {space.name!r} has no cost {objective!r}; {did_you_mean(objective, costs)}")
        self.top1_floor = top1_floor
        self.axis = _axis(space, limits, objective, self.feasible.cheapest)
        self._encoder = Encoder(space, self.axis, objective, limits, self.feasible.cheapest)
        self._candidates = Candidates(space, self.feasible, self._encoder)
        first = earlier_front(space, limits, objective, earlier)
        informed = len(first) >= _INFORMED
        if references:
            before = {e.genotype for e in earlier}
            first += [genotype for genotype in reference_genotypes(space) if genotype not in before]
        self._design = Design(space, self.feasible, self._encoder, self._candidates, first, informed)
        self._model = Model(self._encoder, earlier)
        self._genotypes: dict[int, Genotype] = {}
        self._points: dict[int, Point] = {}
        self._threads = ThreadpoolController()

    def propose(
        self, study: Study, trial: FrozenTrial, others: Sequence[FrozenTrial], known: set[str], rng: random.Random
    ) -> Genotype:
        if study.directions != _DIRECTIONS:
            raise UsageError(
                f"the study's directions are {', '.join(d.name.lower() for d in study.directions)}; the known-cost "
                "sampler needs maximize (accuracy), minimize (cost)"
            )
        # More threads wait for each other longer than these small matrices take, and take cores from the training.
        with self._threads.limit(limits=1, user_api="blas"):
            return self._propose([t for t in others if self._proposed(t)], known, rng)

    def _propose(self, trials: Sequence[FrozenTrial], known: set[str], rng: random.Random) -> Genotype:
        done = finished(trials)
        running = [t for t in trials if t.state == TrialState.RUNNING]
        taken = {self._genotypes[t.number] for t in trials}
        predictor = None
        usual = _DESIGN_EXPECTING if self.space.expected else _DESIGN
        if len(done) + len(running) >= self._design.size(usual):
            predictor = self._model.predictor(done, [self._points[t.number] for t in done])
        if predictor is None:
            return self._design.next((self._genotypes[t.number] for t in trials), known, rng)
        score, front = self._scorer(predictor, done, running)
        candidates = self._candidates.around(front, taken, rng)
        scores = self._candidates.climb(score(candidates) if candidates else {}, score, taken, rng)
        for genotype in sorted(scores, key=lambda g: (-scores[g], self._encoder.point(g).codes)):
            if self.space.identity(genotype) not in known:
                return genotype
        return self.feasible.novel(self._candidates.spread(rng), known, rng)

    def _scorer(
        self, predictor: Predictor, done: Sequence[FrozenTrial], running: Sequence[FrozenTrial]
    ) -> tuple[Callable[[Mapping[Genotype, Point]], Scores], list[Genotype]]:
        """The expected gain as a function of candidates, and the front that it is a gain over.

        The front is made of predictions, not of measured accuracies: the best of many noisy measurements are the
        luckiest, and hardly any candidate would be expected to beat them.
        """
        pending = [self._points[t.number] for t in running]
        known = zip(predictor.rows, predictor.known_mean.tolist(), strict=True)
        here = ((done[row], mean) for row, mean in known if row < len(done))
        means = [(t.number, mean) for t, mean in here if t.state == TrialState.COMPLETE]
        if pending:
            means += zip((t.number for t in running), predictor.mean(pending).tolist(), strict=True)
        inside = [(number, mean) for number, mean in means if self._points[number].feasible]
        positions = [self._points[number].position for number, _ in inside]
        errors = [math.exp(mean) for _, mean in inside]
        floor = self._floor(predictor, positions, errors) if self.top1_floor is None else 1 - self.top1_floor
        steps = FrontSteps.of(positions, errors, floor, 1 + _BEYOND)
        believing = predictor.believing(pending)

        def score(candidates: Mapping[Genotype, Point]) -> Scores:
            mean, deviation = believing.predict(list(candidates.values()))
            positions = np.array([point.position for point in candidates.values()])
            return dict(zip(candidates, _scores(steps, positions, mean, deviation).tolist(), strict=True))

        return score, [self._genotypes[inside[i][0]] for i in steps.members]

    def _floor(self, predictor: Predictor, positions: Sequence[float], errors: Sequence[float]) -> float:
        """The error of the floor: that of the front, and no less than is predicted for the cheapest network there is.

        Without the latter nothing much cheaper than the front would be worth a training, and a search that began with
        large hand-made networks would never look there.
        """
        cheapest = float(predictor.mean([self._encoder.point(self.feasible.cheapest)])[0])
        return max(low_end(positions, errors), min(1.0, math.exp(cheapest)))

    def _proposed(self, trial: FrozenTrial) -> bool:
        """Whether all genes of a trial are chosen; if so its genotype and point are remembered."""
        if trial.number not in self._genotypes and trial.params.keys() >= self.distributions.keys():
            genotype = self.space.canonical(self.space.from_params(trial.params))
            self._genotypes[trial.number] = genotype
            self._points[trial.number] = self._encoder.point(genotype)
        return trial.number in self._genotypes


def _scores(steps: FrontSteps, positions: Floats, mean: Floats, deviation: Floats) -> Floats:
    """Expected gain; where there is none to speak of, less than 0 by how far the network is from the front."""
    gain = expected_improvement(steps, positions, mean, deviation)
    behind = np.maximum(0.0, mean - 2 * deviation - np.log(steps.error_at(positions)))
    return np.where(gain > _NO_GAIN, gain, -behind)


def _axis(space: GeneSpace, limits: Limits, objective: str, cheapest: Genotype) -> CostAxis:
    def cost(genotype: Genotype) -> float:
        return space.cost(genotype)[objective]

    least = cost(cheapest)
    if set(limits.bounds) != {objective}:  # else the cheapest network by limits is the cheapest one
        least = min(least, cost(extreme(space, cost, starts=4)))
    most = cost(extreme(space, lambda genotype: -cost(genotype), starts=4))
    return CostAxis(least, min(most, limits.bounds.get(objective, most)))
