"""Count parameters, FLOPs and MACs of any torch model, module by module.

    profile = ModelProfiler(torchvision.models.resnet18())
    print(profile)                   # the table
    print(profile.total_macs)

One forward pass in eval mode measures what runs. The columns:

params  trainable parameters, each counted once, whether the module ran or not.
macs    multiply-accumulates of convolutions and linear layers, over all calls of a module; half of what PyTorch's own
        counter shows for them. Functional convolutions and linear layers count for the module that calls them. Bias,
        normalisation, activation, pooling and products between activations do not count.
flops   the convention of the original bsconv library: MACs, plus 1 per output element for a bias, 2 per element of a
        batch normalisation (1 without affine), 1 per output element of a ReLU, 1 per input element of a pooling. As
        there, only the last call of a module counts; functional calls, other activations and sums never do.

A batch of N images counts N times. `uncounted` says what these columns leave out.
"""

import csv
import io
import json
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import nn

from bsconv_nas.nn.measure import Calls, Shape, device_and_dtype, has_rule, measure

SCHEMA_VERSION = 1

_NUMBERS = ("calls", "params", "flops", "macs")


@dataclass(frozen=True, slots=True)
class ModuleProfile:
    """One module with all that is within it.

    `name` is its first place in the model, "(Total)" for the model itself. Shapes are those of the last call, without
    the batch, or None where there was no tensor. `info` is the kernel, width x height, with PW for pointwise and DW
    for depthwise. `calls` is 0 for a module that did not run itself.
    """

    name: str
    type: str
    info: str
    in_shape: Shape
    out_shape: Shape
    calls: int
    params: int
    flops: int
    macs: int


@dataclass(frozen=True, slots=True)
class Uncounted:
    """Modules of one type with something that a column leaves out; `macs` says how much, where that is known."""

    type: str
    what: str
    names: tuple[str, ...]
    macs: int | None = None


class ModelProfiler:
    """Profile of `model` for one input size; the model is left as it was, also if its forward raises.

    Args:
        model: any module on any device; on "meta" nothing is computed, so even huge ones take no time.
        input_size: shape of the input, with the batch. Its content is zero.
        input_device, input_dtype: by default those of the model's first floating-point parameter or buffer.

    Attributes:
        rows: a `ModuleProfile` per module, in order of definition, the whole model last.
        total_parameter_count, total_flop_count, total_macs: the columns of the last row.
        uncounted: what the columns leave out, as far as it can be known.

    Raises:
        UsageError: lazy modules that have not seen an input yet.
    """

    def __init__(
        self,
        model: nn.Module,
        input_size: tuple[int, ...] = (1, 3, 224, 224),
        input_device: torch.device | str | None = None,
        input_dtype: torch.dtype | None = None,
    ) -> None:
        # A compiled wrapper would run code in which there are no modules.
        model = getattr(model, "_orig_mod", model)
        device, dtype = device_and_dtype(model)
        example = torch.zeros(input_size, device=input_device or device, dtype=input_dtype or dtype)
        calls = measure(model, example)
        self.input_size = tuple(input_size)
        total, *rows = [_row(name, module, calls) for name, module in model.named_modules()]
        self.rows: tuple[ModuleProfile, ...] = (*rows, total)
        self.total_parameter_count = total.params
        self.total_flop_count = total.flops
        self.total_macs = total.macs
        self.uncounted = _uncounted(model, calls)

    def __str__(self) -> str:
        return self.to_table()

    def to_table(self) -> str:
        """The rows as a text table with thousands separators, and below it what was not counted."""
        columns = [field.name for field in fields(ModuleProfile)]
        header = ("Module", "Type", "Info", "In Shape", "Out Shape", "Calls", "Params", "FLOPs", "MACs")
        lines = [header, *(tuple(_shown(getattr(row, column)) for column in columns) for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        bar = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
        text = [
            "| " + " | ".join(_aligned(*cell) for cell in zip(columns, line, widths, strict=True)) + " |"
            for line in lines
        ]
        notes = [f"not counted: {_note(entry)}" for entry in self.uncounted]
        return "\n".join([bar, text[0], bar, *text[1:-1], bar, text[-1], bar, *notes])

    def to_json(self) -> str:
        """Totals, rows and what was not counted, as JSON."""
        value = {
            "schema_version": SCHEMA_VERSION,
            "input_size": self.input_size,
            "total_parameter_count": self.total_parameter_count,
            "total_flop_count": self.total_flop_count,
            "total_macs": self.total_macs,
            "rows": [asdict(row) for row in self.rows],
            "uncounted": [asdict(entry) for entry in self.uncounted],
        }
        return json.dumps(value, indent=2) + "\n"

    def to_csv(self) -> str:
        """The rows as CSV with a header; a shape is written as 64x56x56."""
        stream = io.StringIO()
        writer = csv.DictWriter(stream, [field.name for field in fields(ModuleProfile)], lineterminator="\n")
        writer.writeheader()
        for row in self.rows:
            shapes = {key: "x".join(map(str, getattr(row, key) or ())) for key in ("in_shape", "out_shape")}
            writer.writerow(asdict(row) | shapes)
        return stream.getvalue()


def _row(name: str, module: nn.Module, calls: dict[nn.Module, Calls]) -> ModuleProfile:
    counts = calls.get(module, Calls())
    within = [calls[inner] for inner in module.modules() if inner in calls]
    return ModuleProfile(
        name or "(Total)",
        type(module).__name__,
        _info(module),
        counts.in_shape,
        counts.out_shape,
        counts.count,
        params=sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad),
        flops=sum(inner.flops for inner in within),
        macs=sum(inner.macs for inner in within),
    )


def _info(module: nn.Module) -> str:
    kernel = getattr(module, "kernel_size", None)
    if isinstance(kernel, int):
        return f"{kernel}x{kernel}"
    if not isinstance(kernel, tuple):
        return ""
    text = "x".join(str(side) for side in reversed(kernel))
    if isinstance(module, nn.Conv2d):
        if module.kernel_size == (1, 1):
            return text + " PW"
        if module.groups == module.in_channels == module.out_channels:
            return text + " DW"
    return text


def _uncounted(model: nn.Module, calls: dict[nn.Module, Calls]) -> tuple[Uncounted, ...]:
    uncounted: dict[tuple[str, str], Uncounted] = {}
    for name, module in model.named_modules():
        for what, macs in _omissions(module, calls):
            key = (type(module).__name__, what)
            before = uncounted.get(key, Uncounted(*key, names=()))
            total = before.macs if macs is None else (before.macs or 0) + macs
            uncounted[key] = Uncounted(*key, names=(*before.names, name or "(Total)"), macs=total)
    return tuple(uncounted.values())


def _omissions(module: nn.Module, calls: dict[nn.Module, Calls]) -> list[tuple[str, int | None]]:
    """What the columns lack of this module itself, with the MACs where they are known."""
    counts = calls.get(module)
    leaf = not any(True for _ in module.children())
    weights = any(parameter.ndim > 1 for parameter in module.parameters(recurse=False))
    if counts is None:
        did_not_run = "did not run as a module; params has it, flops does not, macs only if its parent used its weights"
        return [(did_not_run, None)] if weights else []
    omissions: list[tuple[str, int | None]] = []
    if counts.count > 1 and counts.flops:
        omissions.append(("ran more than once; flops has the last call only", None))
    if counts.products:
        omissions.append(("products between activations, in no column", counts.products))
    if not has_rule(module):
        if counts.macs:
            omissions.append(("functional convolutions or linear layers; macs has them, flops does not", counts.macs))
        elif weights and not isinstance(module, nn.Embedding | nn.EmbeddingBag):
            omissions.append(("has weights, but no convolution or linear layer was seen; not in flops or macs", None))
        elif leaf:
            omissions.append(("elementwise or unknown; not in flops, no macs seen", None))
    return omissions


def _shown(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return "?" if value is None else str(value)


def _aligned(column: str, text: str, width: int) -> str:
    return text.rjust(width) if column in _NUMBERS else text.ljust(width)


def _note(entry: Uncounted) -> str:
    first, *others = entry.names
    more = f" and {len(others)} more" if others else ""
    macs = "" if entry.macs is None else f" ({entry.macs:,} MACs)"
    return f"{entry.type} {first}{more}: {entry.what}{macs}"
