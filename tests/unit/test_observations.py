"""What trials of each state tell the model, and when it is fitted anew."""

import itertools
import math

import numpy as np
import pytest
from optuna.trial import TrialState

from bsconv_nas.samplers.model import refit_point
from bsconv_nas.samplers.observations import finished, observations
from tests.trials import trial_of


@pytest.mark.parametrize("slope", [0.6, 1.0, 1.3])
def test_stopped_trials_are_judged_without_bias(slope: float) -> None:
    rng = np.random.default_rng(0)
    errors, biases, covered = [], [], []
    for _ in range(40):
        starts = rng.normal(-1.0, 0.4, 60)
        ends = -1.2 + slope * (starts + 0.8) + rng.normal(0, 0.1, 60)
        keeps = starts < np.quantile(starts, 0.5)  # the worse half is stopped, by its value at that epoch
        curves = [[1 - math.exp(min(0, s)), 1 - math.exp(min(0, e))] for s, e in zip(starts, ends, strict=True)]
        trials = [
            trial_of(i, *((TrialState.COMPLETE, c) if keep else (TrialState.PRUNED, c[:1])), 2)  # type: ignore[arg-type]
            for i, (c, keep) in enumerate(zip(curves, keeps, strict=True))
        ]
        for seen in observations(finished(trials), rng.uniform(size=60).tolist()):
            if not keeps[seen.number]:
                errors.append(seen.log_error - min(0.0, ends[seen.number]))
                covered.append(abs(errors[-1]) < 2 * seen.extra**0.5)
        biases.append(np.mean(errors))
    assert abs(np.mean(errors)) < 0.06
    assert np.mean(covered) > 0.85


def test_stopped_trials_without_anything_to_compare_with_are_left_out() -> None:
    stopped = [trial_of(i, TrialState.PRUNED, [0.2], 4) for i in range(3)]
    complete = [trial_of(3 + i, TrialState.COMPLETE, [0.3 + 0.1 * i, 0.5], 2) for i in range(6)]
    assert {seen.number for seen in observations(finished(stopped + complete), [0.5] * 9)} == {3, 4, 5, 6, 7, 8}


def test_refits_grow_by_a_tenth() -> None:
    points = sorted({refit_point(count) for count in range(1, 2001)})
    assert points[:10] == list(range(1, 11))
    assert all(1 < b / a <= 1.1 for a, b in itertools.pairwise(points) if a >= 10)
    assert all(refit_point(point) == point for point in points)
    assert refit_point(0) == 0
