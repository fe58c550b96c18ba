"""Check an export: a fresh process without this package runs every file and compares outputs."""

import inspect
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from bsconv_nas.data import TestData
from bsconv_nas.errors import BsconvNasError, UsageError
from bsconv_nas.export.formats import FORMATS, Format
from bsconv_nas.networks.arch import ArchSpec
from bsconv_nas.networks.cost import cost_of

_PROGRAM = Path(__file__).with_name("verify_program.py")
_LOADERS = 'LOADERS: dict[str, Callable[[Path], Form]] = {"model.py": load_torch}'

Finding = dict[str, Any]


def verify(folder: Path, test: TestData | None = None) -> list[Finding]:
    """Check an exported folder: outputs of every file, MACs, parameters and, with `test`, accuracies.

    A finding has the `file`, `problems` in words (empty if there is none), and what was measured: see `verify_program`.

    Raises:
        UsageError: not an exported folder.
        BsconvNasError: the check itself does not run.
    """
    manifest = read_manifest(folder)
    with tempfile.TemporaryDirectory(prefix="bsconv-nas-") as scratch:
        program = Path(scratch) / "verify.py"
        program.write_text(program_for(FORMATS.values()))
        arguments = [str(program), str(folder.absolute()), "--json"]
        if test is not None:
            path = Path(scratch) / "test.npz"
            np.savez(path, images=test.images, labels=test.labels)
            arguments += ["--test", str(path)]
        rows = _run(arguments, folder)
    rows[0]["problems"] += cost_problems(folder, manifest)
    return rows


def program_for(formats: Iterable[Format]) -> str:
    """Source of the program that checks a folder with the files of these formats, without this package."""
    rows = list(formats)
    functions = dict.fromkeys(inspect.getsource(row.load).rstrip() for row in rows)
    names = ["load_torch", *(row.load.__name__ for row in rows)]
    files = ["model.py", *(row.file for row in rows)]
    table = "\n".join(f'    "{file}": {name},' for file, name in zip(files, names, strict=True))
    loaders = "\n\n\n".join([*functions, f"LOADERS: dict[str, Callable[[Path], Form]] = {{\n{table}\n}}"])
    return _PROGRAM.read_text().replace(_LOADERS, loaders)


def read_manifest(folder: Path) -> dict[str, Any]:
    """`export.json` of a folder.

    Raises:
        UsageError: not an exported folder.
    """
    try:
        manifest = json.loads((folder / "export.json").read_text())
        assert isinstance(manifest["forms"], dict), "a damaged file"
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise UsageError(f"{folder} is no exported network: it has no valid export.json") from error
    return manifest


def _run(arguments: list[str], folder: Path) -> list[Finding]:
    command = [sys.executable, "-P", "-W", "ignore", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError) as error:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise BsconvNasError(f"the check of {folder} does not run: {reason}") from error


def cost_problems(folder: Path, manifest: dict[str, Any]) -> list[str]:
    """Differences of the costs of arch.json, by the closed form, from those in export.json; a reference has none."""
    try:
        arch = json.loads((folder / "arch.json").read_text())
        if "reference" in arch:
            return []
        cost = cost_of(ArchSpec.from_dict(arch))
    except (OSError, ValueError) as error:
        return [f"arch.json cannot be read: {str(error).splitlines()[0]}"]
    pairs = {"macs": cost.macs, "params": cost.params}
    return [
        f"{key} of arch.json is {value}, not {manifest[key]}" for key, value in pairs.items() if manifest[key] != value
    ]
