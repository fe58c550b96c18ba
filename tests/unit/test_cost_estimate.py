"""What a search will take: measured networks and the arithmetic after it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bsconv_nas.cli.app import app
from bsconv_nas.cost_estimate import (
    Measured,
    cost_line,
    estimate_trials,
    images_per_epoch,
    measure_speed,
    total_seconds,
)
from bsconv_nas.errors import BudgetError
from bsconv_nas.plan import Plan, make_plan
from bsconv_nas.study.settings import SearchSettings


def plan(**settings: object) -> Plan:
    chosen = SearchSettings.model_validate({"workers": 2, "epochs": 3, **settings})
    return make_plan(chosen)


def test_a_trial_costs_by_its_macs_between_the_two_measured() -> None:
    some = plan()
    images = 3 * images_per_epoch(some)
    found = estimate_trials(some, Measured(1e6, 0.001), Measured(3e6, 0.003), 2.5e6)
    assert (found.small, found.middle, found.large) == pytest.approx((0.001 * images, 0.0025 * images, 0.003 * images))


def test_epochs_with_smaller_images_cost_less() -> None:
    whole, small = (plan(epochs=4, small_first=share) for share in (0.0, 0.5))
    pair = Measured(1e6, 0.001), Measured(3e6, 0.003)
    ratio = estimate_trials(small, *pair, 2e6).middle / estimate_trials(whole, *pair, 2e6).middle
    assert ratio == pytest.approx((2 * 0.75**2 + 2) / 4)


def test_two_equal_networks_cost_the_same() -> None:
    found = estimate_trials(plan(), Measured(1e6, 0.001), Measured(1e6, 0.002), 1e6)
    assert found.middle == found.small


@pytest.mark.parametrize(("trials", "workers", "rounds"), [(1, 1, 1), (4, 2, 2), (5, 2, 3), (1, 8, 1)])
def test_workers_share_the_trials(trials: int, workers: int, rounds: int) -> None:
    assert total_seconds(10.0, trials, workers) == 10.0 * rounds


def test_the_measured_networks_are_within_the_limits() -> None:
    some = plan(limits={"macs": 120e3})
    small, large, middle = measure_speed(some, 0.05)
    assert small.macs <= middle <= large.macs <= 120e3
    assert min(small.seconds_per_image, large.seconds_per_image) > 0


def test_limits_that_hardly_any_random_network_meets() -> None:
    tight = plan(space="cifar", image_size=17, limits={"macs": 300e3})
    small, large, middle = measure_speed(tight, 0.01)
    assert small.macs <= middle <= large.macs <= 300e3
    with pytest.raises(BudgetError, match="allow macs at least"):
        measure_speed(plan(limits={"macs": 1.0}), 0.01)


def test_earlier_trials_tell_more_than_a_measurement() -> None:
    line = cost_line(plan(trials=6), [2.0, 4.0])
    assert line == "about 6.0s: 4 trials of 3.0s, 2 at a time"


def test_there_is_no_line_without_anything_to_do() -> None:
    assert cost_line(plan(trials=2), [2.0, 4.0]) is None


def test_calibrate_prints_what_it_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["calibrate", "--flops", "100k", "--epochs", "2", "--trials", "10", "--workers", "5", "--seconds", "0.1"]
    done = CliRunner().invoke(app, [*options, "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["trials"], found["workers"]) == (10, 5)
    assert [row["network"] for row in found["networks"]] == ["small", "middling", "large"]
    assert found["seconds"] == pytest.approx(2 * found["networks"][1]["trial_seconds"], abs=0.1)
    assert "10 trials of 2 epochs, 5 at a time" in CliRunner().invoke(app, options).stdout
    assert not list(tmp_path.iterdir())
