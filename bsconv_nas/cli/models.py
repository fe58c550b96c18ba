"""`bsconv-nas models`."""

from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from bsconv_nas.base.units import parse_amount
from bsconv_nas.cli.console import JsonOption, out, print_json
from bsconv_nas.cli.tables import percent
from bsconv_nas.networks.metrics import captions, cost_name, format_cost

_COSTS = ("macs", "params")  # what is published of the reference networks


def models(
    pattern: Annotated[str, typer.Argument(help="Only names that contain this.")] = "",
    max_flops: Annotated[
        str | None, typer.Option("--max-flops", "--max-macs", metavar="AMOUNT", help="Most multiply-accumulates.")
    ] = None,
    max_params: Annotated[str | None, typer.Option(metavar="AMOUNT", help="Most parameters.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the reference networks with their costs and published accuracies.

    Costs are for 10 classes at 32 px (cifar_...) or 1000 classes at 224 px.
    """
    from bsconv_nas.models import model_costs, published_results

    accuracies = {(result.model, result.dataset): result.top1 for result in published_results()}
    most_macs = parse_amount(max_flops, "--max-flops") if max_flops else float("inf")
    most_params = parse_amount(max_params, "--max-params") if max_params else float("inf")
    rows: list[dict[str, Any]] = [
        {
            "model": name,
            **{metric: getattr(cost, metric) for metric in _COSTS},
            "cifar10_top1": accuracies.get((name, "cifar10")),
            "cifar100_top1": accuracies.get((name, "cifar100")),
        }
        for name, cost in model_costs().items()
        if pattern.lower() in name and cost.macs <= most_macs and cost.params <= most_params
    ]
    rows.sort(key=lambda row: (row["macs"], row["model"]))
    if as_json:
        print_json(rows)
        return
    table = Table(box=box.SIMPLE_HEAD, caption="\n".join(captions(_COSTS)), caption_justify="left")
    table.add_column("model", no_wrap=True)
    for header in (*map(cost_name, _COSTS), "CIFAR-10", "CIFAR-100"):
        table.add_column(header, justify="right", no_wrap=True)
    for row in rows:
        cells = [format_cost(name, row[name]) for name in _COSTS]
        table.add_row(row["model"], *cells, percent(row["cifar10_top1"]), percent(row["cifar100_top1"]))
    out.print(table)
    out.print(f"{len(rows)} networks; accuracies as published. The grammar of names allows many more.", highlight=False)
