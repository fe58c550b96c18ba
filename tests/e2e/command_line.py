"""The command line in processes of its own, and what its refusals look like."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]
TINY = ("--trials", "2", "--epochs", "1", "--workers", "0")


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "bsconv_nas", *map(str, arguments)]


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "NO_COLOR": "1"}


def run(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, cwd=cwd, env=ENVIRONMENT, timeout=250, check=False
    )


@dataclass
class Called:
    returncode: int
    stdout: str
    stderr: str


def assert_refused(done: Any, *words: str, code: int = 2) -> None:
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("bsconv-nas: error: ")
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def images(folder: Path, counts: dict[str, int]) -> Path:
    rng = np.random.default_rng(0)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.jpg")
    return folder
