"""A search on Ray whose workers, nodes and drivers are killed at random ends as it should."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("trials", "options"),
    [
        (24, []),
        pytest.param(240, [], marks=[pytest.mark.long, pytest.mark.timeout(900)]),
        pytest.param(240, ["--nodes"], marks=[pytest.mark.long, pytest.mark.timeout(900)]),
    ],
)
def test_a_soak_of_random_kills(tmp_path: Path, trials: int, options: list[str]) -> None:
    command = [sys.executable, "-m", "tests.chaos.soak", str(tmp_path / "study"), str(trials), "0", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=850, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    story = json.loads(done.stdout.splitlines()[-1])
    assert sum(story["kills"].values()) >= trials // 24
    assert story["left_over"] == 0, "programs of Ray that outlive their driver"
    if trials > 100:
        assert story["kills"]["driver"] >= 1
        early, late = story["memory_mb"]
        assert late - early < 60
        early, late = story["open_files"]
        assert late - early < 20
