"""`MODEL_CARD.md`: what the network is, costs, was trained on and reaches, and how to load it."""

from collections.abc import Mapping, Sequence
from typing import Any

from bsconv_nas.export.formats import Format
from bsconv_nas.export.source import Source
from bsconv_nas.networks.cost import METRICS, cost_of
from bsconv_nas.networks.metrics import cost_columns, exact_cost
from bsconv_nas.nn.profile import ModelProfiler

_INPUT = "`images`: float32 (N, 3, {height}, {width}), RGB, values in [0, 1]; `logits`: float32 (N, {classes})."


def model_card(source: Source, manifest: Mapping[str, Any], formats: Sequence[Format]) -> str:
    """The text of the card, in Markdown."""
    sections = [
        f"# {source.title}",
        _summary(source, manifest),
        "## Accuracy",
        _accuracy(source, manifest),
        "## Loading",
        _loading(source, formats),
        "## Network",
        _drawing(source),
        "## Training",
        _training(source),
        "## Provenance",
        "\n".join(f"- {key}: {_flat(value)}" for key, value in source.provenance.items()),
        "## Licence",
        "The code of this folder is under the Apache License 2.0. The weights were learned from the images named "
        "above: whether and how they may be used is a matter of the licence of those images.",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _summary(source: Source, manifest: Mapping[str, Any]) -> str:
    height, width = source.image_size
    macs, params = manifest["macs"], manifest["params"]
    lines = [
        f"A classifier of {height}x{width} px images into {manifest['num_classes']} classes, made by bsconv-nas.",
        "",
        "| cost | |",
        "|---|---:|",
        f"| {METRICS['macs'].label} | {macs:,} |",
        f"| FLOPs as PyTorch's counter shows them (2 x MACs) | {2 * macs:,} |",
        f"| MACs of the files for inference (normalisation folded) | {manifest['macs_inference']:,} |",
        f"| {METRICS['params'].label} | {params:,} |",
        *_other_costs(source),
    ]
    return "\n".join(lines)


def _other_costs(source: Source) -> list[str]:
    """Rows for the costs that are columns elsewhere too, beside MACs and parameters."""
    costs = {} if source.arch is None else cost_of(source.arch).as_dict()
    others = [name for name in cost_columns(costs) if name not in ("macs", "params")]
    return [f"| {METRICS[name].label} | {exact_cost(name, costs[name])} |" for name in others]


def _accuracy(source: Source, manifest: Mapping[str, Any]) -> str:
    lines = ["| measured on | top-1 | 95 % interval |", "|---|---:|---:|"]
    for accuracy in source.accuracies:
        interval = accuracy.interval
        shown = "" if interval is None else f"{100 * interval[0]:.2f} to {100 * interval[1]:.2f} %"
        lines.append(f"| {accuracy.what} | {100 * accuracy.top1:.2f} % | {shown} |")
    for file, facts in manifest["forms"].items():
        if "measured" in facts:
            measured = facts["measured"]
            what = f"{measured['images']} validation images that were not calibrated on"
            lines.append(f"| {what}, float32 | {100 * measured['float32_top1']:.2f} % | |")
            lines.append(f"| {what}, {file} | {100 * measured['top1']:.2f} % | |")
    if source.test_top1 is None:
        lines += ["", "The test part has not been read for these weights: see `bsconv-nas finalize` and `train`."]
    return "\n".join(lines)


def _loading(source: Source, formats: Sequence[Format]) -> str:
    height, width = source.image_size
    text = _INPUT.format(height=height, width=width, classes=len(source.classes) or "classes")
    parts = [text, "", "Images are prepared as preprocess.json says. `python verify.py` checks this folder.", ""]
    parts += _code("model.py, plain PyTorch", "from model import load\nnetwork = load()\nlogits = network(images)")
    for row in formats:
        parts += _code(f"{row.file}, {row.meaning}", row.loading)
    return "\n".join(parts).rstrip()


def _code(title: str, program: str) -> list[str]:
    return [f"{title}:", "", "```python", program, "```", ""]


def _drawing(source: Source) -> str:
    lines = ["| layer | type | output (C, H, W) | MACs | parameters |", "|---|---|---|---:|---:|"]
    if source.arch is not None:
        for layer in cost_of(source.arch).layers:
            shape = " x ".join(map(str, layer.out_shape))
            lines.append(f"| {layer.name} | {layer.kind} | {shape} | {layer.macs:,} | {layer.params:,} |")
        return "\n".join(lines)
    profile = ModelProfiler(source.network, (1, source.in_channels, *source.image_size))
    for row in profile.rows[:-1]:
        if row.macs and row.name.count(".") == 2:
            shape = " x ".join(map(str, row.out_shape or ()))
            lines.append(f"| {row.name} | {row.type} | {shape} | {row.macs:,} | {row.params:,} |")
    return "\n".join(lines)


def _training(source: Source) -> str:
    data = f"Images: {source.data or 'unknown'} (fingerprint {source.data_fingerprint or 'unknown'})."
    classes = f"Classes: {', '.join(source.classes)}." if 0 < len(source.classes) <= 20 else ""
    recipe = ", ".join(f"{key} {value}" for key, value in source.recipe.items())
    return "\n\n".join(part for part in (data, classes, f"Recipe: {recipe or 'unknown'}.") if part)


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {inner}" for key, inner in value.items())
    return str(value)
