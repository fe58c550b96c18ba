"""What a module must not load: a search on a cost table, or a command that only reads, starts without torch."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "torchvision", "numpy", "optuna", "ray", "pandas", "plotly", "sklearn")
LIGHT = (
    "networks.arch",
    "networks.cost",
    "spaces.genes",
    "spaces.networks",
    "spaces.files",
    "spaces.references",
    "base.units",
    "base.files",
    "base.toml_files",
)


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_load_nothing_heavy(module: str) -> None:
    code = f"import sys, bsconv_nas.{module}; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT
    )
    assert found.stdout.strip() == ""
