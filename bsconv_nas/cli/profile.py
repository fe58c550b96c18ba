"""`bsconv-nas profile`."""

import tomllib
from pathlib import Path
from typing import Annotated

import typer

from bsconv_nas.arch import ArchSpec
from bsconv_nas.cli.choose import chosen_trial
from bsconv_nas.cli.console import DirOption, JsonOption, StorageOption, out, print_json
from bsconv_nas.cli.tables import cost_table
from bsconv_nas.cost import cost_of
from bsconv_nas.errors import ArchError, StudyError
from bsconv_nas.study.locate import DEFAULT_DIR, load_study


def profile(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[STUDY|FILE]", help="A study, or an architecture as .json or .toml (default: the latest study)."
        ),
    ] = None,
    trial: Annotated[int | None, typer.Option(metavar="N", help="Trial of the study (default: the best).")] = None,
    directory: DirOption = DEFAULT_DIR,
    storage: StorageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show MACs, parameters and memory of a network, layer by layer."""
    if target is not None and Path(target).suffix in (".json", ".toml") and not Path(target).is_dir():
        arch, title = read_arch(Path(target)), target
    else:
        study = load_study(target, directory, storage)
        record = chosen_trial(study, trial)
        found = record.arch_spec()
        if found is None:
            raise StudyError(f"study {study.name!r} searches a space of its own, so it has no networks to profile")
        arch, title = found, f"trial {record.number} of {study.name}"
    cost = cost_of(arch)
    if as_json:
        layers = [layer._asdict() for layer in cost.layers]
        print_json({"arch_id": arch.arch_id, **cost.as_dict(), "layers": layers})
        return
    height, width = arch.image_size
    out.print(f"{title}: network {arch.arch_id}, {height}x{width} px, {arch.num_classes} classes", highlight=False)
    out.print(cost_table(arch, cost))


def read_arch(path: Path) -> ArchSpec:
    """Read an architecture file, JSON or TOML with the same keys.

    Raises:
        ArchError: it cannot be read, or does not describe a network.
    """
    try:
        text = path.read_text(encoding="utf-8")
        return ArchSpec.from_json(text) if path.suffix == ".json" else ArchSpec.from_dict(tomllib.loads(text))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ArchError(f"cannot read {path}: {reason}; expected an architecture as JSON or TOML") from error
    except ArchError as error:
        raise ArchError(f"{path}: {error}") from error
