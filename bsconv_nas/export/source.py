"""What is exported: a network with its weights, training, accuracies and provenance."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from bsconv_nas.errors import StudyError, UsageError
from bsconv_nas.final.records import FinalRecord, best_weights
from bsconv_nas.models.named import build_named
from bsconv_nas.networks.arch import ArchSpec
from bsconv_nas.nn.build import build
from bsconv_nas.statistics.intervals import binomial_interval, mean_interval
from bsconv_nas.study import Study, TrialRecord
from bsconv_nas.study.settings import provenance, read_study_file
from bsconv_nas.train.checkpoint import load_weights
from bsconv_nas.train.full import NETWORK, RESULT, WEIGHTS


@dataclass(frozen=True, slots=True)
class Accuracy:
    """A measured accuracy in [0, 1], what it was measured on, and its 95 % interval or None."""

    what: str
    top1: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A network to export.

    `reference` is the name of a network that has no `arch`. `data` names its images as `--data` does. `test_top1` is
    the accuracy of exactly these weights on the test part, or None if it was not measured.
    """

    title: str
    network: nn.Module
    arch: ArchSpec | None
    reference: str | None
    image_size: tuple[int, int]
    classes: tuple[str, ...]
    data: str | None
    data_fingerprint: str | None
    in_channels: int = 3
    skip_bad_images: bool = False
    recipe: Mapping[str, Any] = field(default_factory=dict[str, Any])
    accuracies: tuple[Accuracy, ...] = ()
    test_top1: float | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])


def trial_source(study: Study, record: TrialRecord) -> Source:
    """The network of a trial, with the weights of its final training if it has one, else those of the search.

    Raises:
        StudyError: the trial has no stored weights, or its space is not one of networks.
    """
    arch, folder = record.arch_spec(), study.folder
    if arch is None or folder is None:
        raise StudyError(f"study {study.name!r} searches a space of its own; it has no networks to export")
    final = best_weights(folder, record.number, arch.arch_id)
    weights = final[0] if final else study.weights_path(record.number)
    if weights is None or not weights.is_file():
        members = ", ".join(str(member.number) for member in study.front())
        raise StudyError(
            f"trial {record.number} has no weights: only those of members of the front are stored; choose one of "
            f"{members or '(none yet)'}, or train it: bsconv-nas train {study.folder}:{record.number}"
        )
    network = build(arch)
    load_weights(weights, network)
    file = read_study_file(folder)
    resolved = file.resolved
    trained = json.loads((weights.parent / NETWORK).read_text())["recipe"] if final else resolved.get("training", {})
    return Source(
        title=f"{arch.arch_id} (trial {record.number} of study {study.name})",
        network=network.eval(),
        arch=arch,
        reference=None,
        image_size=arch.image_size,
        classes=tuple(resolved.get("classes", ())),
        data=file.settings.data or resolved.get("data"),
        data_fingerprint=resolved.get("data_fingerprint"),
        in_channels=arch.in_channels,
        skip_bad_images=file.settings.skip_bad_images,
        recipe=trained,
        accuracies=_accuracies(record, final[1] if final else []),
        test_top1=final[1][0].test_top1 if final else None,
        provenance={"study": study.name, "trial": record.number, **file.provenance},
    )


def training_source(folder: Path) -> Source:
    """The network of a folder that `train` wrote.

    Raises:
        UsageError: not such a folder, or its training is not finished.
    """
    try:
        described: dict[str, Any] = json.loads((folder / NETWORK).read_text())
        result: dict[str, Any] = json.loads((folder / RESULT).read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder} holds no finished training; run its `bsconv-nas train` to the end") from error
    arch = ArchSpec.from_dict(described["arch"]) if described["arch"] is not None else None
    classes = tuple(described["classes"])
    network = build(arch) if arch is not None else build_named(described["model"], len(classes))
    load_weights(folder / WEIGHTS, network)
    accuracies = (
        Accuracy("validation images, best epoch", result["val_top1"]),
        Accuracy(f"{result['test_images']} test images", result["test_top1"], tuple(result["test_interval"])),
    )
    return Source(
        title=described["model"],
        network=network.eval(),
        arch=arch,
        reference=None if arch is not None else described["model"],
        image_size=(described["image_size"][0], described["image_size"][1]),
        classes=classes,
        data=described["data"],
        data_fingerprint=described["data_fingerprint"],
        recipe=described["recipe"],
        accuracies=accuracies,
        test_top1=result["test_top1"],
        provenance={"training": folder.name, "seed": described["seed"], **provenance()},
    )


def _accuracies(record: TrialRecord, finals: list[FinalRecord]) -> tuple[Accuracy, ...]:
    rows: list[Accuracy] = []
    if record.top1 is not None:
        rows.append(Accuracy("validation images, after the search's brief training", record.top1))
    if not finals:
        return tuple(rows)
    best = finals[0]
    tests = [final.test_top1 for final in finals if final.test_top1 is not None]
    rows.append(Accuracy(f"validation images, these weights (seed {best.seed})", best.val_top1))
    interval = binomial_interval(tests[0], best.test_images)
    rows.append(Accuracy(f"{best.test_images} test images, these weights (seed {best.seed})", tests[0], interval))
    if len(tests) > 1:
        mean = sum(tests) / len(tests)
        rows.append(Accuracy(f"test images, mean over {len(tests)} seeds (Student's)", mean, mean_interval(tests)))
    return tuple(rows)
