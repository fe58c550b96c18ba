"""A search on Ray whose workers, nodes and drivers are killed at random ends as it should."""

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryFile

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
    # Not a pipe: programs of Ray inherit it, and some take a minute to end after their driver.
    with TemporaryFile("w+") as output:
        code = subprocess.call(command, stdout=output, stderr=output, cwd=ROOT, env=environment, timeout=850)
        output.seek(0)
        text = output.read()
    assert code == 0, text
    assert "worker died or was killed" not in text, "Ray's own paragraph on each death"
    story = json.loads(text.splitlines()[-1])
    assert story["left_over"] == 0, "programs of Ray that outlive their driver"
    if trials > 100:
        assert story["kills"]["worker"] + story["kills"].get("node", 0) >= 8
        early, late = story["memory_mb"]
        assert late - early < 60
        early, late = story["open_files"]
        assert late - early < 20
