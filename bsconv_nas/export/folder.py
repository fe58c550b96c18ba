"""Write an exported folder: under a temporary name beside its place, checked, and only then renamed."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bsconv_nas.data import ImageData
from bsconv_nas.errors import BsconvNasError, StorageError, UsageError
from bsconv_nas.export.card import model_card
from bsconv_nas.export.fold import folded
from bsconv_nas.export.formats import FORMATS, TOLERANCE, Format, MissingImagesError, inference
from bsconv_nas.export.images import ExportImages, export_images
from bsconv_nas.export.model_py import model_py
from bsconv_nas.export.plain import plain_model
from bsconv_nas.export.source import Source
from bsconv_nas.export.verify import Finding, program_for, verify
from bsconv_nas.export.verify_program import Form, accuracy, as_images
from bsconv_nas.networks.cost import cost_of
from bsconv_nas.nn.build import Network
from bsconv_nas.nn.profile import ModelProfiler
from bsconv_nas.train.checkpoint import save_tensors

SCHEMA_VERSION = 1
FILES = {
    "model.py": "plain PyTorch: `from model import load; network = load()`",
    "model.safetensors": "its weights",
    "arch.json": "the network as data",
    "preprocess.json": "how images become inputs, and the names of the classes",
    "MODEL_CARD.md": "costs, accuracies, training, how to load",
    "verify.py": "checks this folder; needs nothing of bsconv-nas",
    "export.json": "what the check compares with",
    "check.safetensors": "images and the network's outputs for them",
}
_TOP1_TOLERANCE = 0.005  # rounding decides about a few images that lie close between two classes


@dataclass(frozen=True, slots=True)
class Exported:
    """A finished export: meanings by file, reasons by format that was left out, and the findings of the check."""

    files: dict[str, str]
    skipped: dict[str, str]
    findings: list[Finding]


def export_network(
    source: Source, to: Path, formats: Sequence[Format], data: ImageData | None, force: bool = False
) -> Exported:
    """Write a network to a folder in several formats, and check them in a fresh process without this package.

    The folder appears whole or not at all. `data` are the images that the network was trained on, or None if they
    cannot be read.

    Raises:
        UsageError: the folder exists and is not empty (with `force`: and contains files that no export writes).
        StorageError: the folder cannot be written.
        BsconvNasError: a format cannot be written, or the check found a difference.
    """
    check_target(to, force)
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=to.parent, prefix=f".{to.name}-") as scratch:
            folder = Path(scratch) / "export"
            folder.mkdir()
            exported = _write(source, folder, formats, data)
            problems = [f"{row['file']}: {problem}" for row in exported.findings for problem in row["problems"]]
            if problems:
                raise BsconvNasError(f"the export differs from the network: {problems[0]}; nothing was written")
            if to.exists():
                to.rename(Path(scratch) / "before")
            folder.rename(to)
    except OSError as error:
        raise StorageError(f"cannot write {to}: {error.strerror}; choose another --to") from error
    return exported


def check_target(to: Path, force: bool) -> None:
    """Refuse a folder that must not be written to.

    Raises:
        UsageError: it exists and is not empty (with `force`: and contains files that no export writes).
    """
    if to.exists() and (not to.is_dir() or any(to.iterdir())) and not force:
        raise UsageError(f"{to} exists and is not an empty folder; choose another --to, or --force to replace it")
    files = {*FILES, *(row.file for row in FORMATS.values()), "__pycache__"}
    strange = sorted(path.name for path in to.iterdir() if path.name not in files) if to.is_dir() else []
    if strange:
        raise UsageError(f"{to} is no earlier export: it holds {strange[0]!r}; choose another --to")


def _write(source: Source, folder: Path, formats: Sequence[Format], data: ImageData | None) -> Exported:
    images = export_images(data, source.image_size, source.in_channels)
    network = source.network.cpu().eval()
    with torch.no_grad():
        checks = {"images": images.check, "logits": network(as_images(images.check))}
    _write_model(source, folder)
    compact = folded(network)
    written, skipped = _write_formats(compact, images, folder, formats)
    manifest = _manifest(source, compact, written, skipped)
    for row in written:
        if row.approximate:
            form = row.load(folder / row.file)
            checks[f"logits.{row.file}"] = form(as_images(images.check))
            manifest["forms"][row.file] |= _measured(source, form, images)
    save_tensors(folder / "check.safetensors", checks)
    _write_json(folder / "export.json", manifest)
    _write_json(folder / "preprocess.json", _preprocessing(source))
    (folder / "MODEL_CARD.md").write_text(model_card(source, manifest, written))
    (folder / "verify.py").write_text(program_for(written))
    files = {**FILES, **{row.file: row.meaning for row in written}}
    return Exported(files, skipped, verify(folder))


def _write_model(source: Source, folder: Path) -> None:
    if source.arch is not None:
        assert isinstance(source.network, Network), "an architecture is built as a Network"
        text, tensors = model_py(source.network), dict(source.network.state_dict())
        arch = source.arch.to_dict()
    else:
        text, tensors = plain_model(source.network, source.title)
        size, classes = list(source.image_size), len(source.classes)
        arch = {"schema_version": 1, "reference": source.reference, "image_size": size, "num_classes": classes}
    (folder / "model.py").write_text(text)
    save_tensors(folder / "model.safetensors", tensors)
    _write_json(folder / "arch.json", arch)


def _write_formats(
    network: torch.nn.Module, images: ExportImages, folder: Path, formats: Sequence[Format]
) -> tuple[list[Format], dict[str, str]]:
    """The formats that were written, and the reasons for the others."""
    calibration = None if images.calibration is None else as_images(images.calibration)
    prepared = inference(network, as_images(images.check), calibration)
    written: list[Format] = []
    skipped: dict[str, str] = {}
    for row in formats:
        missing = row.missing()
        if missing:
            skipped[row.name] = f"needs {', '.join(missing)}; install: pip install {' '.join(missing)}"
            continue
        try:
            row.write(prepared, folder / row.file)
            written.append(row)
        except MissingImagesError:
            skipped[row.name] = "is calibrated on the images of the training, which were not found; give them by --data"
        except Exception as error:
            reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
            raise BsconvNasError(f"cannot write {row.file}: {reason}; leave it out by --format") from error
    return written, skipped


def _manifest(
    source: Source, compact: torch.nn.Module, written: Sequence[Format], skipped: dict[str, str]
) -> dict[str, Any]:
    size = (1, source.in_channels, *source.image_size)
    profile = ModelProfiler(source.network, size)
    cost = cost_of(source.arch) if source.arch is not None else None
    promise = {"tolerance": TOLERANCE, "test_top1": source.test_top1, "top1_tolerance": _TOP1_TOLERANCE}
    forms: dict[str, dict[str, Any]] = {"model.py": promise}
    for row in written:
        top1 = None if row.approximate else source.test_top1
        forms[row.file] = {**promise, "tolerance": row.tolerance, "test_top1": top1}
    return {
        "schema_version": SCHEMA_VERSION,
        "title": source.title,
        "arch_id": source.arch.arch_id if source.arch is not None else None,
        "reference": source.reference,
        "input_size": [source.in_channels, *source.image_size],
        "num_classes": source.arch.num_classes if source.arch is not None else len(source.classes),
        "macs": cost.macs if cost is not None else profile.total_macs,
        "params": cost.params if cost is not None else profile.total_parameter_count,
        "macs_inference": ModelProfiler(compact, size).total_macs,
        "forms": forms,
        "skipped": skipped,
        "accuracies": [
            {"what": accuracy.what, "top1": accuracy.top1, "interval": accuracy.interval}
            for accuracy in source.accuracies
        ],
        "provenance": dict(source.provenance),
    }


def _measured(source: Source, form: Form, images: ExportImages) -> dict[str, Any]:
    """Accuracy of an approximate form and of the network, on validation images that nothing was calibrated on."""
    if images.measured is None or images.labels is None:
        return {}
    with torch.no_grad():
        floating = accuracy(source.network, images.measured, images.labels)
    top1 = accuracy(form, images.measured, images.labels)
    return {"measured": {"images": len(images.labels), "top1": top1, "float32_top1": floating}}


def _preprocessing(source: Source) -> dict[str, Any]:
    height, width = source.image_size
    return {
        "schema_version": SCHEMA_VERSION,
        "image_size": [height, width],
        "steps": [
            "turn upright by EXIF, convert to RGB",
            f"shorter side to {min(height, width)} px (bilinear, antialiased), centre square",
            "divide by 255: float32 in [0, 1], channels first",
        ],
        "normalisation": "part of the network",
        "classes": list(source.classes),
    }


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n")
