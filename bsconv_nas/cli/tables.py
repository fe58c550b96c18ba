"""Tables of networks and fronts for the terminal, and the same as plain data for JSON."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table

from bsconv_nas.base.units import MACS_LABEL, format_amount
from bsconv_nas.networks.arch import ArchSpec
from bsconv_nas.networks.cost import Cost
from bsconv_nas.networks.latency_table import LATENCY
from bsconv_nas.networks.layer_types import LAYER_TYPES
from bsconv_nas.study import Study, TrialRecord

_BAR = 8


def front_rows(study: Study) -> list[dict[str, Any]]:
    """The front as plain data, by rising MACs."""
    return [record_row(record) for record in study.front()]


def record_row(record: TrialRecord) -> dict[str, Any]:
    """One trial as plain data; `val_top1` is a fraction in [0, 1]."""
    costs = {name: int(value) if value == int(value) else value for name, value in record.cost.items()}
    return {
        "trial": record.number,
        "arch_id": record.identity,
        **costs,
        "val_top1": record.top1,
        "seconds": round(record.seconds, 3),
        "layers": summary(record.arch_spec()),
    }


def front_table(records: Sequence[TrialRecord], best: int | None = None) -> Table:
    """Table of front members; the `best` trial is marked."""
    key = f"{layers_key()}\n" if any(record.arch is not None for record in records) else ""
    table = Table(box=box.SIMPLE_HEAD, caption=f"{key}{MACS_LABEL}", caption_justify="left")
    timed = ("latency",) if any(LATENCY in record.cost for record in records) else ()
    for header in ("trial", "network", "MACs", "params", *timed, "val top-1"):
        table.add_column(header, justify="left" if header == "network" else "right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("layers", overflow="fold")
    for record in records:
        style = "bold green" if record.number == best else None
        table.add_row(*_front_cells(record, records, bool(timed)), style=style)
    return table


def _front_cells(record: TrialRecord, records: Sequence[TrialRecord], timed: bool) -> list[str]:
    params, latency = record.cost.get("params"), record.cost.get(LATENCY)
    return [
        str(record.number),
        record.identity,
        format_amount(record.cost["macs"]),
        format_amount(params) if params is not None else "",
        *([f"{latency:.2f} ms" if latency is not None else ""] if timed else []),
        percent(record.top1),
        _bar(record.top1 or 0.0, [other.top1 or 0.0 for other in records]),
        summary(record.arch_spec()),
    ]


def percent(top1: float | None) -> str:
    """Accuracy in percent with two digits; a dash where there is none."""
    return "-" if top1 is None else f"{100 * top1:.2f} %"


def summary(arch: ArchSpec | None) -> str:
    """The layer types in order, equal ones counted: `4U 2S-1/4`; with `+` where shortcuts are."""
    if arch is None:
        return ""
    runs: list[tuple[str, int]] = []
    for block in arch.blocks:
        for layer in block.layers:
            label = layer.label + ("+" if block.shortcut != "none" else "")
            count = runs.pop()[1] if runs and runs[-1][0] == label else 0
            runs.append((label, count + 1))
    return " ".join(f"{count if count > 1 else ''}{label}" for label, count in runs)


def layer_types_key() -> str:
    """What the labels of layer types mean: `U: BSConv-U, S-1/4: BSConv-S with p = 1/4`."""
    return ", ".join(
        f"{name}-1/4: {layer_type.title} with p = 1/4" if layer_type.takes_p else f"{name}: {layer_type.title}"
        for name, layer_type in LAYER_TYPES.items()
    )


def layers_key() -> str:
    """What a `summary` of a network is written in, in one line."""
    return f"{layer_types_key()}, 2U: two in a row, +: shortcut"


def cost_table(arch: ArchSpec, cost: Cost) -> Table:
    """Per-layer table of a network."""
    labels = _layer_labels(arch)
    caption = f"{layer_types_key()}, /2: stride 2, SE: squeeze-excitation\n{MACS_LABEL}"
    table = Table(box=box.SIMPLE_HEAD, show_footer=True, caption=caption, caption_justify="left", pad_edge=False)
    table.add_column("layer", footer="total", overflow="fold")  # on a narrow terminal: numbers are never cut
    table.add_column("type", no_wrap=True)
    table.add_column("output (C, H, W)", no_wrap=True)
    table.add_column("MACs", f"{cost.macs:,}", justify="right", no_wrap=True)
    table.add_column("params", f"{cost.params:,}", justify="right", no_wrap=True)
    table.add_column("activations", f"{format_amount(cost.peak_activation)}B", justify="right", no_wrap=True)
    for layer in cost.layers:
        shape = ", ".join(map(str, layer.out_shape))
        activations = f"{format_amount(layer.peak_activation)}B"
        table.add_row(
            layer.name, labels.get(layer.name, layer.kind), shape, f"{layer.macs:,}", f"{layer.params:,}", activations
        )
    return table


def _layer_labels(arch: ArchSpec) -> dict[str, str]:
    """What a row's type does not say: ratio, kernel size, stride, squeeze-excitation."""
    labels = {"stem": _label("Conv", arch.stem.kernel_size, arch.stem.stride)}
    for number, block in enumerate(arch.blocks):
        for position, layer in enumerate(block.layers):
            label = _label(layer.label, layer.kernel_size, layer.stride) + (" SE" if layer.se else "")
            labels[f"blocks.{number}.layers.{position}"] = label
    return labels


def _label(name: str, kernel_size: int, stride: int) -> str:
    return f"{name} {kernel_size}x{kernel_size}" + (f"/{stride}" if stride > 1 else "")


def _bar(value: float, values: Sequence[float]) -> str:
    """A bar from the least to the greatest value; at least one cell long."""
    least, greatest = min(values), max(values)
    share = 1.0 if greatest == least else (value - least) / (greatest - least)
    return "━" * max(1, round(share * _BAR))
