"""`bsconv-nas convert`."""

import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

import typer

from bsconv_nas.base.files import write_atomic
from bsconv_nas.cli.console import out
from bsconv_nas.errors import UsageError


def convert(
    network: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK", help="torchvision:NAME, such as torchvision:resnet18, or a reference network."
        ),
    ],
    kind: Annotated[Literal["u", "s"], typer.Option("--type", help="BSConv-U or BSConv-S.")] = "u",
    p: Annotated[str, typer.Option("--p", metavar="RATIO", help="Ratio of BSConv-S, such as 1/4.")] = "1/4",
    with_bn: Annotated[bool, typer.Option("--with-bn", metavar="", help="Normalise between the convolutions.")] = False,
    init: Annotated[
        Literal["default", "svd"], typer.Option(help="Start untrained, or from the nearest blueprints of the weights.")
    ] = "default",
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Weights (.safetensors) to load before converting.")
    ] = None,
    classes: Annotated[int | None, typer.Option(help="Number of classes. (default: as usual)")] = None,
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="Folder to write.")] = Path("converted"),
) -> None:
    """Replace the 3x3 and 5x5 convolutions of a network by BSConv; write its profile and weights."""
    from safetensors.torch import save

    from bsconv_nas.models.named import build_named
    from bsconv_nas.nn import BSConvSReplacer, BSConvUReplacer
    from bsconv_nas.nn.profile import ModelProfiler
    from bsconv_nas.train.checkpoint import load_weights

    replacer = (
        BSConvUReplacer(with_bn=with_bn, init=init)
        if kind == "u"
        else BSConvSReplacer(p=_ratio(p), with_bn=with_bn, init=init)
    )
    model = build_named(network, classes)
    if weights is not None:
        load_weights(weights, model)
    size = (1, 3, *getattr(model, "in_size", (224, 224)))
    before = ModelProfiler(model, size)
    model = replacer.apply(model)
    after = ModelProfiler(model, size)
    tensors = {name: tensor.detach().clone().contiguous() for name, tensor in model.state_dict().items()}
    write_atomic(to / "model.safetensors", save(tensors))
    write_atomic(to / "profile.json", after.to_json())
    write_atomic(to / "profile.csv", after.to_csv())
    replaced = [
        {"names": list(row.names), "from": row.old_type, "to": row.new_type, "error": row.error}
        for row in replacer.report
    ]
    write_atomic(to / "replaced.json", json.dumps(replaced, indent=1) + "\n")
    for row in replacer.report:
        error = "" if row.error is None else f", relative error {row.error:.3f}"
        out.print(f"{' = '.join(row.names)}: {row.old_type} -> {row.new_type}{error}", highlight=False, markup=False)
    for what, old, new in (
        ("parameters", before.total_parameter_count, after.total_parameter_count),
        ("MACs", before.total_macs, after.total_macs),
    ):
        out.print(f"{what}: {old:,} -> {new:,} ({100 * new / old - 100:+.1f} %)", highlight=False)
    out.print(f"Written to {to}/: model.safetensors, profile.json, profile.csv, replaced.json", highlight=False)


def _ratio(text: str) -> float:
    if not re.fullmatch(r"\d{1,3}(/[1-9]\d{0,2})?|0?\.\d{1,6}", text) or not 0 <= Fraction(text) <= 1:
        raise UsageError(f"--p {text!r} is not a ratio from 0 to 1; write for example 1/4")
    return float(Fraction(text))
