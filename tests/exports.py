"""Checks of exported folders in this process: starting another one that loads torch takes seconds."""

from pathlib import Path
from typing import Any

from bsconv_nas.export.verify_program import load_module


def check_here(folder: Path) -> list[dict[str, Any]]:
    """What the folder's own verify.py says of each of its files."""
    return load_module(folder / "verify.py").check_folder(folder, None)
