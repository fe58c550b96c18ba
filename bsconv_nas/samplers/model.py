"""From observations to predictions of accuracy: when the model is fitted, on what, and in which units."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from optuna.trial import FrozenTrial

from bsconv_nas.samplers.encoding import Encoder, Point
from bsconv_nas.samplers.gp import Features, Floats, Kernel, Posterior, fit
from bsconv_nas.samplers.observations import observations, transferred
from bsconv_nas.samplers.options import Earlier
from bsconv_nas.statistics.log_errors import log_error

_GROWTH = 1.1  # the model is fitted anew after so many times the trials of the last fit
_MOST_FITTED = 300  # observations that hyperparameters are fitted to
_MOST_KNOWN = 800  # observations that predictions are made from
_MAX_CACHED = 64  # fits
# Hyperparameters fitted to few networks are taken for certain, so predictions are too sure of themselves: on the table
# of trained networks squared errors were 2.0, 1.4 and 1.2 times the predicted variance after 20, 40 and 80 of them.
_OVERCONFIDENCE = 16


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted model.

    Args:
        theta: hyperparameters (see `Kernel`).
        mean: mean difference between log errors and those that the space expects.
        deviation: standard deviation of the log errors.
    """

    theta: Floats
    mean: float
    deviation: float


class Predictor:
    """Predicts log errors of networks.

    It rests on the trials at the positions `rows` among those that it was made from: all of them in studies of ordinary
    size, else a part. `known_mean` is predicted for these. Rows beyond the last trial stand for results of an earlier
    study.
    """

    def __init__(self, posterior: Posterior, fitted: Fit, encoder: Encoder, rows: Sequence[int]) -> None:
        self._posterior = posterior
        self._fit = fitted
        self._encoder = encoder
        self.rows = rows

    @property
    def known_mean(self) -> Floats:
        return self._log_errors(self._posterior.known_mean, self._posterior.known)

    def predict(self, points: Sequence[Point]) -> tuple[Floats, Floats]:
        """Mean and deviation of the noise-free log error."""
        features = self._encoder.features(points)
        mean, deviation = self._posterior.predict(features)
        scale = self._fit.deviation * math.sqrt(1 + _OVERCONFIDENCE / len(self.rows))
        return self._log_errors(mean, features), scale * deviation

    def mean(self, points: Sequence[Point]) -> Floats:
        features = self._encoder.features(points)
        return self._log_errors(self._posterior.mean(features), features)

    def believing(self, points: Sequence[Point]) -> "Predictor":
        """The predictor after running trials, at these points, had ended with what is predicted for them."""
        if not points:
            return self
        posterior = self._posterior.believing(self._encoder.features(points))
        return Predictor(posterior, self._fit, self._encoder, self.rows)

    def _log_errors(self, beyond: Floats, features: Features) -> Floats:
        """Log errors from `beyond`: their difference to the expected ones, in standard deviations."""
        return self._fit.mean + self._fit.deviation * (beyond + self._encoder.expected(features))


@dataclass(frozen=True, slots=True)
class _Sample:
    """Networks with their rows (see `Predictor`), log errors and the variances of estimated ones."""

    points: list[Point]
    rows: list[int]
    log_errors: Floats
    extra: Floats

    def with_earlier(self, estimates: Mapping[Point, tuple[float, float]], first_row: int) -> "_Sample":
        """With estimates from an earlier study: log error and variance by network, in rows from `first_row` on."""
        values = np.array(list(estimates.values()), dtype=float).reshape(-1, 2)
        return _Sample(
            [*self.points, *estimates],
            [*self.rows, *range(first_row, first_row + len(estimates))],
            np.append(self.log_errors, values[:, 0]),
            np.append(self.extra, values[:, 1]),
        )

    def reduced(self, most: int) -> "_Sample":
        chosen = _subset(np.array([point.position for point in self.points]), self.log_errors, most)
        points, rows = [self.points[i] for i in chosen], [self.rows[i] for i in chosen]
        return _Sample(points, rows, self.log_errors[chosen], self.extra[chosen])


class Model:
    """Fits the Gaussian process and predicts; the result depends on the trials alone, not on earlier calls.

    Hyperparameters are fitted to a prefix of the finished trials whose length grows in steps of a tenth. Each fit
    starts from the prior, so one made long ago, one from the cache and one made anew in another process are the same.

    Args:
        encoder: gives features.
        earlier: results of an earlier study. They count once enough networks were trained in both studies to tell how
            the accuracies of one relate to those of the other.
    """

    def __init__(self, encoder: Encoder, earlier: Sequence[Earlier] = ()) -> None:
        self._encoder = encoder
        self._earlier = {encoder.point(e.genotype): log_error(e.top1) for e in earlier}
        self._kernel: Kernel | None = None
        self._fits: dict[tuple[int, ...], Fit] = {}

    def predictor(self, trials: Sequence[FrozenTrial], points: Sequence[Point]) -> Predictor | None:
        """The predictor from `trials`, in order of completion, and their points; None when they tell nothing yet."""
        fitted = self._fit(trials[: refit_point(len(trials))], points)
        if fitted is None:
            return None
        sample = self._sample(trials, points, _MOST_KNOWN)
        features = self._encoder.features(sample.points)
        targets = (sample.log_errors - fitted.mean) / fitted.deviation - self._encoder.expected(features)
        assert self._kernel is not None
        posterior = Posterior(self._kernel, fitted.theta, features, targets, sample.extra / fitted.deviation**2)
        return Predictor(posterior, fitted, self._encoder, sample.rows)

    def _fit(self, trials: Sequence[FrozenTrial], points: Sequence[Point]) -> Fit | None:
        key = tuple(trial.number for trial in trials)
        if key not in self._fits:
            sample = self._sample(trials, points, _MOST_FITTED)
            if not sample.rows:
                return None
            if len(self._fits) >= _MAX_CACHED:
                self._fits.clear()
            self._fits[key] = self._fitted(sample)
        return self._fits[key]

    def _sample(self, trials: Sequence[FrozenTrial], points: Sequence[Point], most: int) -> "_Sample":
        """The log errors of the trials and of the earlier study, cut down to `most` networks."""
        row_of = {trial.number: row for row, trial in enumerate(trials)}
        seen = observations(trials, [point.position for point in points[: len(trials)]])
        rows = [row_of[o.number] for o in seen]
        sample = _Sample(
            [points[row] for row in rows],
            rows,
            np.array([o.log_error for o in seen], dtype=float),
            np.array([o.extra for o in seen], dtype=float),
        )
        if self._earlier:
            here = {points[row]: o.log_error for row, o in zip(rows, seen, strict=True) if o.extra == 0}
            sample = sample.with_earlier(transferred(self._earlier, here), len(trials))
        return sample if len(sample.rows) <= most else sample.reduced(most)

    def _fitted(self, sample: "_Sample") -> Fit:
        features = self._encoder.features(sample.points)
        log_errors, extra = sample.log_errors, sample.extra
        self._kernel = self._kernel or Kernel(self._encoder.sizes, features.ranks.shape[1])
        deviation = float(log_errors.std())
        deviation = deviation if deviation > 1e-6 else 1.0
        beyond = log_errors / deviation - self._encoder.expected(features)
        theta = fit(self._kernel, features, beyond - beyond.mean(), extra / deviation**2)
        return Fit(theta, deviation * float(beyond.mean()), deviation)


def refit_point(count: int) -> int:
    """How many trials the model is fitted to when `count` have finished: it is fitted anew at growing intervals."""
    size = 1
    while (larger := max(size + 1, int(size * _GROWTH))) <= count:
        size = larger
    return min(size, count)


def _subset(positions: Floats, log_errors: Floats, most: int) -> list[int]:
    """Indices of `most` networks: half of them those nearest to the front, where the next proposal will be.

    The other half is spread evenly over all others, ordered by their distance from the front.
    """
    order = np.argsort(positions, kind="stable")
    best = np.empty(len(order))
    best[order] = np.minimum.accumulate(log_errors[order])
    by_distance = np.argsort(log_errors - best, kind="stable")
    near, far = by_distance[: most // 2], np.sort(by_distance[most // 2 :])
    spread = far[np.linspace(0, len(far) - 1, most - len(near)).astype(int)]
    return sorted({int(i) for i in (*near, *spread)})
