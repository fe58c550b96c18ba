"""What is kept of each final training: a small file beside its weights, in `final/jobs/NAME-sSEED/`."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bsconv_nas.base.files import write_atomic

FOLDER = "final"
RECORD, WEIGHTS = "record.json", "weights.safetensors"
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class FinalRecord:
    """A finished final training. `key` names it (network, seed, data, recipe); accuracies are fractions.

    `test_top1` is None until all trainings are done and the test part is read.
    """

    key: str
    name: str
    trial: int | None
    seed: int
    epochs: int
    best_epoch: int
    val_top1: float
    seconds: float
    test_top1: float | None = None
    test_images: int = 0
    schema_version: int = SCHEMA_VERSION

    def tested(self, top1: float, images: int) -> "FinalRecord":
        """The same with the accuracy on the test part."""
        return replace(self, test_top1=top1, test_images=images)


def job_folder(final: Path, name: str, seed: int) -> Path:
    """Folder of one training."""
    return final / "jobs" / f"{name}-s{seed}"


def read_record(folder: Path) -> FinalRecord | None:
    """The record of a finished training; None where there is none that can be read."""
    try:
        data: dict[str, Any] = json.loads((folder / RECORD).read_text())
        return FinalRecord(**data) if data["schema_version"] == SCHEMA_VERSION else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_record(folder: Path, record: FinalRecord) -> None:
    """Store a record.

    Raises:
        StorageError: the folder cannot be written.
    """
    write_atomic(folder / RECORD, json.dumps(asdict(record), indent=1) + "\n")


def best_weights(study_folder: Path, trial: int, identity: str) -> tuple[Path, list[FinalRecord]] | None:
    """Weights of the best seed of a trial by validation, and the records of all its seeds with that one first.

    None for a trial that was not trained fully and tested; `identity` is that of its network, to tell it from a trial
    of the same number in a study that was made anew.
    """
    folders = (study_folder / FOLDER / "jobs").glob(f"trial-{trial}-s*")
    records = {folder: record for folder in folders if (record := read_record(folder)) is not None}
    tested = {
        folder: record
        for folder, record in records.items()
        if record.test_top1 is not None and record.key.startswith(f"{identity} ")
    }
    with_weights = [folder for folder in tested if (folder / WEIGHTS).is_file()]
    if not with_weights:
        return None
    best = max(with_weights, key=lambda folder: (tested[folder].val_top1, -tested[folder].seed))
    others = sorted((r for folder, r in tested.items() if folder != best), key=lambda record: record.seed)
    return best / WEIGHTS, [tested[best], *others]
