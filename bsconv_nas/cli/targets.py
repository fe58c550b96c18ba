"""What a verb's NETWORK argument may be: a trial, an architecture file, a reference or a torchvision network."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bsconv_nas.base.files import read_limited
from bsconv_nas.base.toml_files import load_toml
from bsconv_nas.errors import ArchError, StudyError, UsageError
from bsconv_nas.networks.arch import ArchSpec
from bsconv_nas.study import Study, TrialRecord
from bsconv_nas.study.custom import check_networks
from bsconv_nas.study.locate import DEFAULT_DIR, load_study

if TYPE_CHECKING:
    from torch import nn

_TORCHVISION = "torchvision:"


@dataclass(frozen=True, slots=True)
class Target:
    """A network by name: with an `arch` it is one of ours, otherwise `name` is that of a library."""

    name: str
    arch: ArchSpec | None = None


def find_target(
    text: str | None, trial: int | None = None, directory: Path = DEFAULT_DIR, storage: str | None = None
) -> Target:
    """Resolve a NETWORK argument; None is the latest study.

    Raises:
        UsageError: a file that is no architecture, no such study or trial, or an unknown name.
    """
    if text is not None and text.startswith(_TORCHVISION):
        return Target(text)
    if text is not None and Path(text).suffix in (".json", ".toml") and not Path(text).is_dir():
        return Target(Path(text).stem, read_arch(Path(text)))
    if text is not None and is_reference(text):
        return Target(text.lower())
    name, _, number = (text or "").partition(":")
    if number and not number.isdigit():
        raise UsageError(f"{text!r} is not STUDY:TRIAL; write for example {name}:12")
    study = load_study(name or None, directory, storage)
    check_networks(study)
    record = chosen_trial(study, int(number) if number else trial)
    arch = record.arch_spec()
    assert arch is not None, "studies without networks are refused"
    return Target(f"{study.name}-{record.number}", arch)


def build_target(target: Target, num_classes: int, image_size: tuple[int, int], seed: int) -> "nn.Module":
    """Build the network for images and classes, with initial weights that follow from the seed.

    Raises:
        UsageError: an architecture made for other images or classes, or an unknown torchvision name.
    """
    if target.arch is not None:
        from bsconv_nas.nn.build import build

        if (target.arch.num_classes, target.arch.image_size) != (num_classes, image_size):
            height, width = target.arch.image_size
            raise UsageError(
                f"network {target.name} is made for {height}x{width} px and {target.arch.num_classes} classes, "
                f"the data has {image_size[0]}x{image_size[1]} px and {num_classes}; "
                f"give its own data, or --image-size {height}"
            )
        return build(target.arch, seed)
    from bsconv_nas.models.named import build_named

    return build_named(target.name, num_classes, seed)


def read_arch(path: Path) -> ArchSpec:
    """Read an architecture file, JSON or TOML with the same keys.

    Raises:
        ArchError: it cannot be read, or does not describe a network.
        UsageError: it is not TOML.
    """
    try:
        if path.suffix != ".json":
            return ArchSpec.from_dict(load_toml(path))
        return ArchSpec.from_json(read_limited(path))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ArchError(f"cannot read {path}: {reason}; expected an architecture as JSON or TOML") from error
    except ArchError as error:
        raise ArchError(f"{path}: {error}") from error


def is_reference(text: str) -> bool:
    """Whether a text names a reference network.

    Raises:
        UsageError: it looks like one, but is misspelt.
    """
    from bsconv_nas.models import parse_name

    try:
        parse_name(text)
    except UsageError:
        # A misspelt name of the grammar should be corrected; anything else is taken for a study.
        if any(family in text.lower() for family in ("mobilenet", "resnet", "wrn")) and not Path(text).exists():
            raise
        return False
    return True


def chosen_trial(study: Study, number: int | None) -> TrialRecord:
    """The trial with that number; the most accurate one within the limits for None.

    Raises:
        StudyError: no such trial, or none is complete.
    """
    if number is None:
        best = study.best()
        if best is None:
            raise StudyError(f"study {study.name!r} has no complete trial yet; run its search again")
        return best
    for record in study.all_records:
        if record.number == number:
            return record
    count = len(study.all_records)
    raise StudyError(f"study {study.name!r} has no trial {number}; it has trials 0 to {count - 1}")
