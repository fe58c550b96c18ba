"""From observations to predictions of accuracy: when the model is fitted, on what, and in which units."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from optuna.trial import FrozenTrial

from bsconv_nas.samplers.encoding import Encoder, Point
from bsconv_nas.samplers.gp import Floats, Kernel, Posterior, fit
from bsconv_nas.samplers.observations import observations

_GROWTH = 1.1
_MOST_FITTED = 300  # observations that hyperparameters are fitted to
_MOST_KNOWN = 800  # observations that predictions are made from
_MAX_CACHED = 64


@dataclass(frozen=True, slots=True)
class Fit:
    """Hyperparameters, and the mean and deviation that log errors are standardised by."""

    theta: Floats
    mean: float
    deviation: float


class Predictor:
    """Log errors of networks, predicted.

    `rows` are the positions, among the trials that it was made from, of those that it rests on: all of them in studies
    of ordinary size. `known_mean` is predicted for these.
    """

    def __init__(self, posterior: Posterior, fitted: Fit, encoder: Encoder, rows: Sequence[int]) -> None:
        self._posterior = posterior
        self._fit = fitted
        self._encoder = encoder
        self.rows = rows

    @property
    def known_mean(self) -> Floats:
        return self._fit.mean + self._fit.deviation * self._posterior.known_mean

    def predict(self, points: Sequence[Point]) -> tuple[Floats, Floats]:
        """Mean and deviation of the noise-free log error."""
        mean, deviation = self._posterior.predict(self._encoder.features(points))
        return self._fit.mean + self._fit.deviation * mean, self._fit.deviation * deviation

    def mean(self, points: Sequence[Point]) -> Floats:
        return self._fit.mean + self._fit.deviation * self._posterior.mean(self._encoder.features(points))

    def believing(self, points: Sequence[Point]) -> "Predictor":
        """As if running trials had ended with what is predicted for them."""
        if not points:
            return self
        posterior = self._posterior.believing(self._encoder.features(points))
        return Predictor(posterior, self._fit, self._encoder, self.rows)


class Model:
    """Fits and predicts. What it gives is a function of the trials it is given.

    Hyperparameters are fitted to a prefix of the finished trials whose length grows in steps of a tenth. Each fit
    starts from the prior, so one made long ago, one from the cache and one made anew in another process are the same.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._kernel: Kernel | None = None
        self._fits: dict[tuple[int, ...], Fit] = {}

    def predictor(self, trials: Sequence[FrozenTrial], points: Sequence[Point]) -> Predictor | None:
        """The predictor after `trials`, in order of completion, at these points; None when nothing is known."""
        fitted = self._fit(trials[: refit_point(len(trials))], points)
        if fitted is None:
            return None
        rows, log_errors, extra = _usable(trials, points, _MOST_KNOWN)
        targets = (log_errors - fitted.mean) / fitted.deviation
        features = self._encoder.features([points[row] for row in rows])
        assert self._kernel is not None
        posterior = Posterior(self._kernel, fitted.theta, features, targets, extra / fitted.deviation**2)
        return Predictor(posterior, fitted, self._encoder, rows)

    def _fit(self, trials: Sequence[FrozenTrial], points: Sequence[Point]) -> Fit | None:
        key = tuple(trial.number for trial in trials)
        if key not in self._fits:
            rows, log_errors, extra = _usable(trials, points, _MOST_FITTED)
            if not rows:
                return None
            if len(self._fits) >= _MAX_CACHED:
                self._fits.clear()
            self._fits[key] = self._fitted([points[row] for row in rows], log_errors, extra)
        return self._fits[key]

    def _fitted(self, points: Sequence[Point], log_errors: Floats, extra: Floats) -> Fit:
        features = self._encoder.features(points)
        self._kernel = self._kernel or Kernel(self._encoder.sizes, features.ranks.shape[1])
        mean, deviation = float(log_errors.mean()), float(log_errors.std())
        deviation = deviation if deviation > 1e-6 else 1.0
        theta = fit(self._kernel, features, (log_errors - mean) / deviation, extra / deviation**2)
        return Fit(theta, mean, deviation)


def refit_point(count: int) -> int:
    """The last size, of those at which the model is fitted, that `count` finished trials have reached."""
    size = 1
    while (larger := max(size + 1, int(size * _GROWTH))) <= count:
        size = larger
    return min(size, count)


def _usable(trials: Sequence[FrozenTrial], points: Sequence[Point], most: int) -> tuple[list[int], Floats, Floats]:
    """Positions of the trials to use, their log errors and the variances of estimated ones."""
    row_of = {trial.number: row for row, trial in enumerate(trials)}
    seen = observations(trials)
    rows = [row_of[o.number] for o in seen]
    log_errors = np.array([o.log_error for o in seen], dtype=float)
    extra = np.array([o.extra for o in seen], dtype=float)
    if len(rows) > most:
        chosen = _subset(np.array([points[row].position for row in rows]), log_errors, most)
        rows, log_errors, extra = [rows[i] for i in chosen], log_errors[chosen], extra[chosen]
    return rows, log_errors, extra


def _subset(positions: Floats, log_errors: Floats, most: int) -> list[int]:
    """Half of `most` nearest to the front, where the next network will be, the rest evenly from all others."""
    order = np.argsort(positions, kind="stable")
    best = np.empty(len(order))
    best[order] = np.minimum.accumulate(log_errors[order])
    by_distance = np.argsort(log_errors - best, kind="stable")
    near, far = by_distance[: most // 2], np.sort(by_distance[most // 2 :])
    spread = far[np.linspace(0, len(far) - 1, most - len(near)).astype(int)]
    return sorted({int(i) for i in (*near, *spread)})
