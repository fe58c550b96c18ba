"""The Gaussian process against finite differences and dense formulas."""

import numpy as np
import pytest

from bsconv_nas.samplers.gp import Features, Floats, Kernel, Posterior, fit, negative_log_posterior

SIZES = (3, 4, 2, 5)
ORDINAL = (1, 3)


def _features(count: int, seed: int = 0) -> Features:
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(0, size, count) for size in SIZES], 1)
    onehot = np.hstack([np.eye(size)[codes[:, i]] for i, size in enumerate(SIZES)])
    ranks = np.stack([codes[:, i] / (SIZES[i] - 1) for i in ORDINAL], 1)
    return Features(np.hstack([ranks, rng.random((count, 1))]), onehot, rng.random((count, 2)))


def _kernel() -> Kernel:
    return Kernel(SIZES, ranks=len(ORDINAL) + 1)


def _theta(kernel: Kernel, seed: int = 0) -> Floats:
    return kernel.prior_mean + 0.5 * np.random.default_rng(seed).normal(size=kernel.count)


def _codes(features: Features) -> Floats:
    ends = np.cumsum(SIZES)
    parts = np.split(features.onehot, ends[:-1], axis=1)
    return np.stack([part.argmax(1) for part in parts], 1)


def _covariance_pair_by_pair(kernel: Kernel, theta: Floats, a: Features, b: Features) -> Floats:
    amplitude, scales, weights, linear, _ = kernel.split(theta)
    found = np.zeros((len(a), len(b)))
    for i in range(len(a)):
        for j in range(len(b)):
            r = np.sqrt((scales * (a.ranks[i] - b.ranks[j]) ** 2).sum())
            matern = (1 + np.sqrt(5) * r + 5 / 3 * r**2) * np.exp(-np.sqrt(5) * r)
            hamming = np.exp(-(weights * (_codes(a)[i] != _codes(b)[j])).sum())
            parts = (a.trend[i] @ b.trend[j], a.ranks[i] @ b.ranks[j], a.onehot[i] @ b.onehot[j])
            found[i, j] = (
                amplitude * (matern + hamming) / 2 + 1 + sum(v * p for v, p in zip(linear, parts, strict=True))
            )
    return found


@pytest.mark.parametrize("seed", range(3))
def test_the_covariance_is_its_formula(seed: int) -> None:
    kernel, a, b = _kernel(), _features(9, seed), _features(6, seed + 10)
    theta = _theta(kernel, seed)
    assert kernel.covariance(theta, a, b) == pytest.approx(_covariance_pair_by_pair(kernel, theta, a, b))
    assert kernel.variance(theta, a) == pytest.approx(np.diag(kernel.covariance(theta, a, a)))


@pytest.mark.parametrize("seed", range(4))
def test_gradients_are_finite_differences(seed: int) -> None:
    kernel, a = _kernel(), _features(25, seed)
    rng = np.random.default_rng(seed)
    targets, extra = rng.normal(size=25), rng.random(25) * 0.1
    theta = _theta(kernel, seed)
    _, gradient = negative_log_posterior(kernel, theta, a, targets, extra)
    step = 1e-5
    for i in range(kernel.count):
        shift = step * np.eye(kernel.count)[i]
        above, _ = negative_log_posterior(kernel, theta + shift, a, targets, extra)
        below, _ = negative_log_posterior(kernel, theta - shift, a, targets, extra)
        assert gradient[i] == pytest.approx((above - below) / (2 * step), rel=1e-4, abs=1e-4), i


def test_predictions_are_the_dense_formula() -> None:
    kernel, a, b = _kernel(), _features(20), _features(7, 1)
    theta = _theta(kernel)
    targets, extra = np.random.default_rng(2).normal(size=20), np.linspace(0, 0.2, 20)
    noise = np.diag(np.exp(theta[-1]) + extra + 1e-6)
    inverse = np.linalg.inv(kernel.covariance(theta, a, a) + noise)
    cross = kernel.covariance(theta, a, b)
    mean, deviation = Posterior(kernel, theta, a, targets, extra).predict(b)
    assert mean == pytest.approx(cross.T @ inverse @ targets)
    expected = np.diag(kernel.covariance(theta, b, b) - cross.T @ inverse @ cross)
    assert deviation**2 == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_believing_keeps_the_mean_and_shrinks_the_uncertainty() -> None:
    kernel, a, b = _kernel(), _features(20), _features(7, 1)
    theta = np.append(_theta(kernel)[:-1], np.log(0.01))  # little noise: one training tells most
    posterior = Posterior(kernel, theta, a, np.random.default_rng(2).normal(size=20), np.zeros(20))
    mean, deviation = posterior.predict(b)
    believed_mean, believed_deviation = posterior.believing(b.take(np.arange(3))).predict(b)
    assert believed_mean == pytest.approx(mean, abs=1e-6)
    assert (believed_deviation <= deviation + 1e-9).all()
    assert (believed_deviation[:3] < 0.7 * deviation[:3]).all()


def test_fitting_improves_on_the_prior_and_finds_the_noise() -> None:
    kernel, a = _kernel(), _features(120)
    rng = np.random.default_rng(0)
    clean = 2 * a.ranks[:, 0] - a.onehot[:, 0]
    clean = (clean - clean.mean()) / clean.std()
    targets = clean + 0.3 * rng.normal(size=120)
    theta = fit(kernel, a, targets, np.zeros(120))
    fitted, _ = negative_log_posterior(kernel, theta, a, targets, np.zeros(120))
    prior, _ = negative_log_posterior(kernel, kernel.prior_mean, a, targets, np.zeros(120))
    assert fitted < prior
    assert 0.15 < np.exp(theta[-1]) ** 0.5 < 0.45
    mean, _ = Posterior(kernel, theta, a, targets, np.zeros(120)).predict(a)
    assert ((mean - clean) ** 2).mean() < ((targets - clean) ** 2).mean() / 2


def test_equal_targets_and_equal_networks_are_no_obstacle() -> None:
    kernel, a = _kernel(), _features(4)
    doubled = a.joined(a)
    theta = fit(kernel, doubled, np.zeros(8), np.zeros(8))
    mean, deviation = Posterior(kernel, theta, doubled, np.zeros(8), np.zeros(8)).predict(_features(5, 3))
    assert np.isfinite(mean).all()
    assert np.isfinite(deviation).all()
    assert mean == pytest.approx(0)
