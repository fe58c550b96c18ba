"""The exported folder: written beside its place, checked, and only then moved there."""

import json
import shutil
import tempfile
from pathlib import Path

from bsconv_nas.arch import ArchSpec
from bsconv_nas.errors import StorageError, StudyError, UsageError
from bsconv_nas.export.check import check_export
from bsconv_nas.export.model_py import model_py
from bsconv_nas.network import build
from bsconv_nas.study import Study, TrialRecord
from bsconv_nas.train.checkpoint import load_weights, save_weights

FILES = {
    "arch.json": "the network as data",
    "model.py": "plain PyTorch: `from model import load; network = load()`",
    "model.safetensors": "its weights",
}
_REPLACEABLE = (*FILES, "__pycache__")


def export_trial(study: Study, record: TrialRecord, to: Path, force: bool = False) -> dict[str, str]:
    """Write the network of a trial to a folder, and check it in a fresh process without this package.

    Returns the names of the files with their meanings. The folder appears whole or not at all.

    Raises:
        StudyError: the trial has no weights: only members of the front keep theirs.
        UsageError: the folder exists (with `force`: and holds something else than an earlier export).
        StorageError: the folder cannot be written.
        BsconvNasError: the check failed.
    """
    arch, weights = record.arch_spec(), study.weights_path(record.number)
    if arch is None or weights is None or not weights.is_file():
        kept = ", ".join(str(member.number) for member in study.front())
        raise StudyError(
            f"trial {record.number} has no weights: only members of the front keep theirs; "
            f"choose one of {kept or '(none yet)'}"
        )
    if to.exists() and (not to.is_dir() or any(to.iterdir())) and not force:
        raise UsageError(f"{to} exists and is not an empty folder; choose another --to, or --force to replace it")
    strange = sorted(path.name for path in to.iterdir() if path.name not in _REPLACEABLE) if to.is_dir() else []
    if strange:
        raise UsageError(f"{to} is no earlier export: it holds {strange[0]!r}; choose another --to")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=to.parent, prefix=f".{to.name}-") as scratch:
            folder = Path(scratch) / "export"
            folder.mkdir()
            _write_files(arch, weights, folder)
            check_export(arch, weights, folder)
            if to.exists():
                shutil.rmtree(to) if to.is_dir() and not to.is_symlink() else to.unlink()
            folder.rename(to)
    except OSError as error:
        raise StorageError(f"cannot write {to}: {error.strerror}; choose another --to") from error
    return FILES


def _write_files(arch: ArchSpec, weights: Path, folder: Path) -> None:
    network = build(arch)
    load_weights(weights, network)
    (folder / "arch.json").write_text(json.dumps(arch.to_dict(), indent=1) + "\n")
    (folder / "model.py").write_text(model_py(arch))
    save_weights(folder / "model.safetensors", network)
