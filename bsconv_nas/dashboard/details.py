"""One network in full: layers with their cost, learning curve, times, and the commands that go on from it."""

import shlex
from collections.abc import Iterable
from typing import Any

from bsconv_nas.dashboard.source import StudySource
from bsconv_nas.errors import StudyError
from bsconv_nas.networks.arch import ArchSpec, LayerSpec
from bsconv_nas.networks.cost import cost_of
from bsconv_nas.networks.metrics import layer_costs


def trial_details(source: StudySource, number: int) -> dict[str, Any]:
    """All that the page shows of one trial.

    Raises:
        StudyError: no such trial.
    """
    row = source.table.rows.get(number)
    if row is None:
        raise StudyError(f"study {source.name!r} has no trial {number}")
    stored = source.table.user_attributes(number)
    arch = ArchSpec.from_dict(stored["arch"]) if stored.get("arch") else None
    return {
        **row._asdict(),
        "cost": stored.get("cost", {}),
        "seed": stored.get("seed"),
        "reason": stored.get("reason"),
        "curve": [
            {"epoch": epoch, "epochs": epochs, "top1": top1, **metrics}
            for epoch, epochs, top1, metrics in stored.get("curve", [])
        ],
        "genes": source.table.genotypes([number])[number] if arch is None else {},
        "arch": stored.get("arch"),
        "layers": layer_rows(arch) if arch else [],
        "commands": _commands(source, number, row.identity) if arch else {},
    }


def layer_rows(arch: ArchSpec) -> list[dict[str, Any]]:
    """The layers of a network in order of execution, with what they are and what they cost."""
    specs = {
        f"blocks.{b}.layers.{i}": (layer, block.shortcut)
        for b, block in enumerate(arch.blocks)
        for i, layer in enumerate(block.layers)
    }
    rows: list[dict[str, Any]] = []
    for cost in cost_of(arch).layers:
        layer, shortcut = specs.get(cost.name, (None, "none"))
        row = {
            "name": cost.name,
            "type": layer.label if layer else cost.kind,
            "shape": list(cost.out_shape),
            "cost": layer_costs(cost),
            "shortcut": shortcut,
        }
        rows.append(row | _shape_of(layer, arch, cost.name))
    return rows


def front_choices(source: StudySource, numbers: Iterable[int]) -> dict[int, list[dict[str, Any]]]:
    """Type, kernel size, width and stride of every searched layer of some trials, by number.

    Raises:
        StudyError: no such trial.
    """
    choices: dict[int, list[dict[str, Any]]] = {}
    for number in numbers:
        arch = source.table.user_attributes(number).get("arch")
        layers = ArchSpec.from_dict(arch).layers if arch else ()
        choices[number] = [
            {"type": x.label, "kernel": x.kernel_size, "width": x.out_channels, "stride": x.stride} for x in layers
        ]
    return choices


def _shape_of(layer: LayerSpec | None, arch: ArchSpec, name: str) -> dict[str, Any]:
    if layer is not None:
        return {"kernel": layer.kernel_size, "stride": layer.stride, "se": layer.se, "activation": layer.activation}
    if name == "stem":
        return {"kernel": arch.stem.kernel_size, "stride": arch.stem.stride, "se": False}
    return {"kernel": 1, "stride": 1, "se": False}


def _commands(source: StudySource, number: int, identity: str) -> dict[str, str]:
    folder = str(source.folder)
    train = ["bsconv-nas", "train", f"{folder}:{number}"]
    if source.file.settings.data:
        train += ["--data", source.file.settings.data]
    export = ["bsconv-nas", "export", folder, "--trial", str(number), "--to", f"network-{identity}"]
    return {"export": shlex.join(export), "train": shlex.join(train)}
