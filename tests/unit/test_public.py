"""The public interface: every name is there, stays what it is, and loads nothing it does not need."""

import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import bsconv_nas

ROOT = Path(__file__).parents[2]

TWO_SEARCHES = """
import bsconv_nas, sys
space = bsconv_nas.GeneSpace({"width": [8, 16], "depth": [1, 2]}, cost=lambda g: {"macs": g[0] * g[1]})
for _ in range(2):
    study = bsconv_nas.search(space, evaluate=lambda g: g[0] / 64, limits={"macs": 16}, trials=3)
print(len(study.records), *sorted({"ray", "torch", "plotly"} & set(sys.modules)))
"""


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_no_public_name_is_a_submodule() -> None:
    # Importing a submodule sets it as an attribute of the package, in place of the function of that name.
    modules = {module.name for module in pkgutil.iter_modules(bsconv_nas.__path__)}
    assert not modules & set(bsconv_nas.__all__)


@pytest.mark.parametrize("name", bsconv_nas.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(bsconv_nas, name).__doc__
    assert name in dir(bsconv_nas)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="'serach'"):
        _ = bsconv_nas.serach  # type: ignore[attr-defined]


def test_search_can_be_called_twice_without_torch_or_ray() -> None:
    assert run_python(TWO_SEARCHES) == "3"


def test_import_loads_nothing_heavy() -> None:
    heavy = ("ray", "plotly", "torch", "optuna", "pandas", "typer", "numpy")
    assert run_python(f"import bsconv_nas, sys; print(*sorted(set({heavy!r}) & set(sys.modules)))") == ""
