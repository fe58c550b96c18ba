"""`finalize` from the command line: beside a random arm, and killed with the command typed again."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bsconv_nas import cli

ROOT = Path(__file__).parents[2]
SEARCH = ["search", "--flops", "100k", "--epochs", "1", "--workers", "0", "--quiet"]


def call(*arguments: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["bsconv-nas", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    return int(ended.value.code or 0)


def results(study: str) -> dict[str, Any]:
    return json.loads(Path("studies", study, "final/results.json").read_text())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study of two networks and a random one of three."""
    folder = tmp_path_factory.mktemp("finalize")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert call(*SEARCH, "--study", "demo", "--trials", "2") == 0
        assert call(*SEARCH, "--study", "arm", "--trials", "3", "--sampler", "random", "--seed", "5") == 0
    return folder


def test_the_best_of_a_random_arm_is_compared(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    shutil.copytree("studies/demo", "studies/beside")
    short = ["--epochs", "1", "--seeds", "1", "--top", "1", "--workers", "0", "--at", "100k"]
    assert call("finalize", "studies/beside", *short) == 0  # finds the arm: random, under the same conditions
    rows = {row["kind"]: row for row in results("beside")["rows"]}
    assert set(rows) == {"searched", "random", "reference"}
    assert rows["random"]["name"] == f"arm-trial-{rows['random']['trial']}"
    assert rows["random"]["trial"] < 2  # of the arm's three trials as many as the study has
    assert rows["random"]["macs"] <= 100_000
    assert all(0 < row["test_top1"][0] < 1 for row in rows.values())
    assert call("finalize", "studies/beside", "--arm", "none", *short) == 0
    assert {row["kind"] for row in results("beside")["rows"]} == {"searched", "reference"}


def test_an_arm_of_other_images_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    monkeypatch.chdir(home)
    other = ["--image-size", "10", "--study", "other", "--trials", "1"]
    assert call(*SEARCH, *other) == 0
    assert call("finalize", "demo", "--arm", "other") == 2
    assert call("finalize", "demo", "--arm", "nobody") == 2
    assert not Path("studies/demo/final/results.json").exists()


@pytest.mark.long  # about half a minute: 16 trainings and a process of its own
def test_killed_and_typed_again_it_ends_as_if_nobody_had_killed_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    shutil.copytree("studies/demo", "studies/straight")
    shutil.copytree("studies/demo", "studies/killed")
    options = ["--arm", "arm", "--epochs", "2", "--seeds", "2", "--top", "1", "--workers", "0", "--at", "100k"]
    assert call("finalize", "studies/straight", *options) == 0
    kill_after(2, ["finalize", "studies/killed", *options], Path("studies/killed/final/jobs"))
    assert not Path("studies/killed/final/results.json").exists()
    assert 2 <= len(list(Path("studies/killed/final/jobs").glob("*/record.json"))) < 8
    assert call("finalize", "studies/killed", *options) == 0
    assert results("killed") == results("straight")
    assert len(results("killed")["rows"][0]["test_top1"]) == 2


def kill_after(trainings: int, arguments: list[str], jobs: Path) -> None:
    """Run the command in a process that is killed once so many trainings are done."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "bsconv_nas", *arguments], env=environment, stderr=subprocess.DEVNULL
    ) as process:
        end = time.monotonic() + 200
        while process.poll() is None and time.monotonic() < end and len(list(jobs.glob("*/record.json"))) < trainings:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
