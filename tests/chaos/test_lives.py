"""A search whose driver is killed at random instants ends as if nothing had happened."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bsconv_nas.api import search
from bsconv_nas.study import Study
from bsconv_nas.study.storage import open_storage, sqlite_url
from tests.chaos.driver import Trains
from tests.chaos.lives import TRIALS
from tests.searches import LIMITS, outcomes, table_space

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("sampler", "kills", "seed"),
    [
        ("tpe", 12, 0),
        pytest.param("tpe", 50, 1, marks=pytest.mark.long),
        pytest.param("nsga2", 50, 2, marks=pytest.mark.long),
        pytest.param("known-cost", 50, 3, marks=pytest.mark.long),
    ],
)
def test_the_result_is_that_of_a_search_nobody_killed(tmp_path: Path, sampler: str, kills: int, seed: int) -> None:
    folder = tmp_path / "study"
    command = [sys.executable, "-m", "tests.chaos.lives", str(folder), str(kills), str(seed), sampler]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    killed, _ = map(int, done.stdout.split())
    assert killed >= 3
    expected = search(table_space(), Trains(0), LIMITS, sampler, TRIALS)
    found = Study.load(open_storage(sqlite_url(folder / "study.db")), "table")
    assert outcomes(found.records) == outcomes(expected.records)
