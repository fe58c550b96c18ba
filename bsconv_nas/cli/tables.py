"""Tables of networks and fronts for the terminal, and the same as plain data for JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from bsconv_nas.networks.arch import ArchSpec
from bsconv_nas.networks.cost import Cost
from bsconv_nas.networks.layer_types import LAYER_TYPES
from bsconv_nas.networks.metrics import (
    captions,
    cost_columns,
    cost_name,
    exact_cost,
    format_cost,
    in_order,
    layer_costs,
)
from bsconv_nas.study import Study, TrialRecord

_BAR = 8


def front_rows(study: Study) -> list[dict[str, Any]]:
    """The front as plain data, by rising cost (`Study.objective`)."""
    return [record_row(record) for record in study.front()]


def record_row(record: TrialRecord) -> dict[str, Any]:
    """One trial as plain data; `val_top1` is a fraction in [0, 1]."""
    return {
        "trial": record.number,
        "arch_id": record.identity,
        **plain_costs(record.cost),
        "val_top1": record.top1,
        "seconds": round(record.seconds, 3),
        **({"genes": record.genes} if record.arch is None else {"layers": summary(record.arch_spec())}),
    }


def plain_costs(costs: Mapping[str, float]) -> dict[str, float]:
    """Costs by name, whole amounts as integers."""
    return {name: int(value) if value == int(value) else value for name, value in costs.items()}


def front_table(records: Sequence[TrialRecord], best: int | None = None, objective: str = "macs") -> Table:
    """Table of front members, the cost `objective` first; the `best` trial is marked.

    The last column has the layers of a network or, in a space of one's own, the genes.
    """
    costs = cost_columns((name for record in records for name in record.cost), objective)
    key = [layers_key()] if any(record.arch is not None for record in records) else []
    caption = "\n".join([*key, *captions(costs)])
    table = Table(box=box.SIMPLE_HEAD, caption=caption or None, caption_justify="left")
    for header in ("trial", "network", *map(cost_name, costs), "val top-1"):
        table.add_column(escape(header), justify="left" if header == "network" else "right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("genes" if any(record.arch is None for record in records) else "layers", overflow="fold")
    for record in records:
        style = "bold green" if record.number == best else None
        table.add_row(*map(escape, _front_cells(record, records, costs)), style=style)
    return table


def _front_cells(record: TrialRecord, records: Sequence[TrialRecord], costs: Sequence[str]) -> list[str]:
    return [
        str(record.number),
        record.identity,
        *(format_cost(name, record.cost[name]) if name in record.cost else "" for name in costs),
        percent(record.top1),
        _bar(record.top1 or 0.0, [other.top1 or 0.0 for other in records]),
        gene_text(record) if record.arch is None else summary(record.arch_spec()),
    ]


def gene_text(record: TrialRecord) -> str:
    """The choice of each gene: `width=8 depth=2`."""
    return " ".join(f"{name}={choice}" for name, choice in record.genes.items())


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
    """Per-layer table of a network, with every cost that its layers tell."""
    labels, totals = _layer_labels(arch), cost.as_dict()
    costs = in_order(totals)
    caption = "\n".join([f"{layer_types_key()}, /2: stride 2, SE: squeeze-excitation", *captions(costs)])
    table = Table(box=box.SIMPLE_HEAD, show_footer=True, caption=caption, caption_justify="left", pad_edge=False)
    table.add_column("layer", footer="total", overflow="fold")  # on a narrow terminal: numbers are never cut
    table.add_column("type", no_wrap=True)
    table.add_column("output (C, H, W)", no_wrap=True)
    for name in costs:
        table.add_column(escape(cost_name(name)), exact_cost(name, totals[name]), justify="right", no_wrap=True)
    for layer in cost.layers:
        shape, alone = ", ".join(map(str, layer.out_shape)), layer_costs(layer)
        cells = (exact_cost(name, alone[name]) for name in costs)
        table.add_row(layer.name, labels.get(layer.name, layer.kind), shape, *cells)
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
