"""An exact Gaussian process over genotypes, its hyperparameters set to their most probable values.

The covariance of two networks is

    a (M + H) / 2  +  c  +  t T T'  +  r R R'  +  o O O'  +  noise

M: Matern-5/2 over ordinal genes (scaled ranks) and log cost, one length scale each. H: exp(-sum of weights of the genes
in which the two differ). T, R, O: linear terms in the log costs and traits, the ranks and the one-hot choices, which is
a prior mean that is linear in log costs and traits plus an additive effect per gene, with its coefficients integrated
out. Priors on length scales grow with the square root of the number of genes (Hvarfner et al., "Vanilla Bayesian
optimization performs great in high dimensions", 2024), so that forty genes do not look like forty independent reasons
to differ.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, lapack, solve_triangular
from scipy.optimize import minimize

Floats = NDArray[np.float64]

_SQRT5 = math.sqrt(5.0)
_CONSTANT = 1.0  # variance of the constant term, in units of the standardised targets
_JITTER = 1e-6
_ITERATIONS = 60  # at most, of a fit
_DECIMALS = 3  # fitted logarithms are rounded: more coarsely than a BLAS that rounds in another order could change


@dataclass(frozen=True, slots=True)
class Features:
    """Networks as rows: `ranks` (n, ordinal genes + 1) in [0, 1], `onehot` (n, choices), `trend` (n, costs, traits)."""

    ranks: Floats
    onehot: Floats
    trend: Floats

    def __len__(self) -> int:
        return len(self.ranks)

    def take(self, rows: NDArray[np.intp]) -> "Features":
        return Features(self.ranks[rows], self.onehot[rows], self.trend[rows])

    def joined(self, other: "Features") -> "Features":
        pairs = ((self.ranks, other.ranks), (self.onehot, other.onehot), (self.trend, other.trend))
        return Features(*(np.vstack(pair) for pair in pairs))


class Kernel:
    """Layout of the hyperparameters (logarithms, one flat vector) and the covariance they give.

    Args:
        sizes: number of choices of each gene.
        ranks: columns of `Features.ranks`.
    """

    def __init__(self, sizes: tuple[int, ...], ranks: int) -> None:
        self.sizes = sizes
        self.ranks = ranks
        self.genes = len(sizes)
        self._owner = np.repeat(np.arange(self.genes), sizes)
        self.count = 1 + ranks + self.genes + 3 + 1
        self.prior_mean, self.prior_deviation = self._prior()

    def _prior(self) -> tuple[Floats, Floats]:
        genes = max(1, self.genes)
        parts = [
            (1, math.log(0.5), 1.0),  # amplitude
            (self.ranks, math.log(0.7 * math.sqrt(self.ranks)), 0.8),  # length scales
            (self.genes, math.log(1.0 / genes), 1.0),  # Hamming weights
            (1, math.log(1.0), 1.5),  # trend
            (1, math.log(1.0 / genes), 1.5),  # ranks
            (1, math.log(0.3 / genes), 1.5),  # one-hot
            (1, math.log(0.03), 2.0),  # noise: broad, from none to the tenth and more of brief trainings
        ]
        mean = np.concatenate([np.full(count, value) for count, value, _ in parts])
        return mean, np.concatenate([np.full(count, deviation) for count, _, deviation in parts])

    def split(self, theta: Floats) -> tuple[float, Floats, Floats, Floats, float]:
        """Amplitude, inverse squared length scales, Hamming weights, three linear variances, noise variance."""
        r, g = 1 + self.ranks, 1 + self.ranks + self.genes
        scales = np.exp(-2.0 * theta[1:r])
        return float(np.exp(theta[0])), scales, np.exp(theta[r:g]), np.exp(theta[g : g + 3]), float(np.exp(theta[-1]))

    def matern_and_hamming(self, theta: Floats, a: Features, b: Features) -> tuple[Floats, Floats, Floats]:
        """M, its derivative by the squared distance, and H."""
        _, scales, weights, _, _ = self.split(theta)
        root = np.sqrt(scales)
        x, y = a.ranks * root, b.ranks * root
        squared = np.maximum(0.0, (x * x).sum(1)[:, None] + (y * y).sum(1)[None, :] - 2.0 * (x @ y.T))
        distance = np.sqrt(squared)
        decay = np.exp(-_SQRT5 * distance)
        matern = (1.0 + _SQRT5 * distance + (5.0 / 3.0) * squared) * decay
        slope = (-5.0 / 6.0) * (1.0 + _SQRT5 * distance) * decay
        per_choice = weights[self._owner] if self.genes else np.zeros(0)
        hamming = np.exp((a.onehot * per_choice) @ b.onehot.T - weights.sum())
        return matern, slope, hamming

    def covariance(self, theta: Floats, a: Features, b: Features) -> Floats:
        """Covariance of the noise-free values: (len(a), len(b))."""
        amplitude, _, _, linear, _ = self.split(theta)
        matern, _, hamming = self.matern_and_hamming(theta, a, b)
        return 0.5 * amplitude * (matern + hamming) + _CONSTANT + self._linear(linear, a, b)

    def _linear(self, variances: Floats, a: Features, b: Features) -> Floats:
        pairs = zip(variances, (a.trend, a.ranks, a.onehot), (b.trend, b.ranks, b.onehot), strict=True)
        left, right = zip(*((math.sqrt(v) * x, math.sqrt(v) * y) for v, x, y in pairs), strict=True)
        return np.hstack(left) @ np.hstack(right).T

    def variance(self, theta: Floats, a: Features) -> Floats:
        """Diagonal of `covariance(theta, a, a)`."""
        amplitude, _, _, linear, _ = self.split(theta)
        squares = np.stack([(part * part).sum(1) for part in (a.trend, a.ranks, a.onehot)])
        return amplitude + _CONSTANT + linear @ squares

    def gradient(self, theta: Floats, a: Features, weight: Floats) -> Floats:
        """Sum of `weight` times the derivative of the covariance by each hyperparameter but the noise.

        With one-hot columns and squared differences written out, each sum over pairs is a matrix product: no n x n
        array per gene.
        """
        amplitude, scales, weights, linear, _ = self.split(theta)
        matern, slope, hamming = self.matern_and_hamming(theta, a, a)
        half = 0.5 * amplitude
        by_amplitude = half * float(np.sum(weight * (matern + hamming)))
        q = weight * slope * half
        x = a.ranks
        spread = 2.0 * ((x * x) * q.sum(1)[:, None]).sum(0) - 2.0 * (x * (q @ x)).sum(0)
        p = weight * hamming * half
        same = np.bincount(self._owner, (a.onehot * (p @ a.onehot)).sum(0), self.genes)
        by_linear = [
            v * float((part * (weight @ part)).sum()) for v, part in zip(linear, (a.trend, x, a.onehot), strict=True)
        ]
        return np.concatenate([[by_amplitude], -2.0 * scales * spread, -weights * (p.sum() - same), by_linear])


def negative_log_posterior(
    kernel: Kernel, theta: Floats, a: Features, targets: Floats, extra: Floats
) -> tuple[float, Floats]:
    """Value and gradient by `theta`; `extra` is the known part of the noise variance, one number per target."""
    noise = math.exp(theta[-1])
    covariance = kernel.covariance(theta, a, a)
    covariance[np.diag_indices_from(covariance)] += noise + extra + _JITTER
    factor = cho_factor(covariance, lower=True, overwrite_a=True, check_finite=False)
    solved = cho_solve(factor, targets, check_finite=False)
    value = 0.5 * float(targets @ solved) + float(np.log(np.diag(factor[0])).sum())
    inverse = _inverse(factor[0])
    weight = 0.5 * (inverse - np.outer(solved, solved))
    gradient = np.append(kernel.gradient(theta, a, weight), noise * float(np.trace(weight)))
    shift = (theta - kernel.prior_mean) / kernel.prior_deviation
    return value + 0.5 * float(shift @ shift), gradient + shift / kernel.prior_deviation


def fit(kernel: Kernel, a: Features, targets: Floats, extra: Floats) -> Floats:
    """Most probable hyperparameters, started at the prior's mean so that they depend on the data alone."""
    bounds = [(m - 4 * d, m + 4 * d) for m, d in zip(kernel.prior_mean, kernel.prior_deviation, strict=True)]
    optimum = minimize(
        lambda theta: negative_log_posterior(kernel, theta, a, targets, extra),
        kernel.prior_mean,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": _ITERATIONS, "ftol": 1e-6},
    )
    return np.round(optimum.x, _DECIMALS)


class Posterior:
    """Predictions from the targets of known networks; `extra` as in `negative_log_posterior`."""

    def __init__(self, kernel: Kernel, theta: Floats, a: Features, targets: Floats, extra: Floats) -> None:
        self.kernel, self.theta, self.known, self.targets, self.extra = kernel, theta, a, targets, extra
        covariance = kernel.covariance(theta, a, a)
        covariance[np.diag_indices_from(covariance)] += math.exp(theta[-1]) + extra + _JITTER
        self._factor = cho_factor(covariance, lower=True, overwrite_a=True, check_finite=False)
        self._solved = cho_solve(self._factor, targets, check_finite=False)

    @property
    def known_mean(self) -> Floats:
        """Mean of the noise-free values at the known networks: the targets less the part that is taken for noise."""
        return self.targets - (math.exp(self.theta[-1]) + self.extra + _JITTER) * self._solved

    def mean(self, b: Features) -> Floats:
        return self.kernel.covariance(self.theta, b, self.known) @ self._solved

    def predict(self, b: Features) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the noise-free values."""
        cross = self.kernel.covariance(self.theta, self.known, b)
        half = solve_triangular(self._factor[0], cross, lower=True, check_finite=False)
        variance = self.kernel.variance(self.theta, b) - (half * half).sum(0)
        return cross.T @ self._solved, np.sqrt(np.maximum(variance, 1e-12))

    def believing(self, b: Features) -> "Posterior":
        """As if `b` had been observed at its predicted mean: the mean stays, the uncertainty near `b` shrinks."""
        targets = np.append(self.targets, self.mean(b))
        return Posterior(
            self.kernel, self.theta, self.known.joined(b), targets, np.append(self.extra, np.zeros(len(b)))
        )


def _inverse(lower: Floats) -> Floats:
    inverse, _ = lapack.dpotri(lower, lower=1)  # pyright: ignore[reportAttributeAccessIssue]
    triangle = np.tril(inverse)
    return triangle + np.tril(inverse, -1).T
