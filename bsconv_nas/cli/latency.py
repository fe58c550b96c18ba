"""`bsconv-nas latency`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich import box
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from bsconv_nas.base.units import counted
from bsconv_nas.cli.console import DirOption, JsonOption, StorageOption, err, out, print_json
from bsconv_nas.cli.tables import percent, plain_costs
from bsconv_nas.errors import StudyError
from bsconv_nas.networks.cost import METRICS
from bsconv_nas.networks.metrics import cost_columns, cost_name, format_cost
from bsconv_nas.study.custom import check_networks
from bsconv_nas.study.locate import DEFAULT_DIR, load_study


def latency(
    what: Annotated[
        str | None,
        typer.Argument(metavar="STUDY|FOLDER", help="A study, whose front is measured, or an exported network."),
    ] = None,
    batch: Annotated[int, typer.Option(help="Images at a time.")] = 1,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 1,
    backend: Annotated[Literal["torch", "onnxruntime"], typer.Option(help="What runs the networks.")] = "torch",
    seconds: Annotated[float, typer.Option(help="Time to measure each network.")] = 1.0,
    directory: DirOption = DEFAULT_DIR,
    storage: StorageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure how long networks take on this machine's CPU: median and quartiles after a warm-up.

    Networks are measured in turns, so that all see the same noise; normalisation is folded as in exports.
    """
    from bsconv_nas.latency.measure import Setting, folder_runner, runner
    from bsconv_nas.study.settings import processor

    setting = Setting(batch, threads, backend)
    if what is not None and (Path(what) / "export.json").is_file():
        rows, runners = _exported(Path(what), setting, folder_runner)
    else:
        rows, runners = _front(load_study(what, directory, storage), setting, runner)
    latencies = _measured(runners, seconds, show=not as_json)
    device = f"{processor()}, {counted(threads, 'thread')}, batch {batch}, {backend}"
    if as_json:
        measured = [{**row, **asdict(time)} for row, time in zip(rows, latencies, strict=True)]
        print_json({"device": device, "batch": batch, "threads": threads, "backend": backend, "rows": measured})
        return
    table = Table(box=box.SIMPLE_HEAD, caption=device, caption_justify="left")
    costs = cost_columns(METRICS.keys() & rows[0].keys())
    for header in ("network", *map(cost_name, costs), "val top-1", "median", "quartiles", "images/s"):
        table.add_column(header, justify="left" if header == "network" else "right", no_wrap=True)
    for row, time in zip(rows, latencies, strict=True):
        cells = (*(format_cost(name, row[name]) for name in costs), percent(row["val_top1"]))
        spread = f"{time.low_ms:.2f} to {time.high_ms:.2f} ms"
        table.add_row(
            row["network"], *cells, f"{time.median_ms:.2f} ms", spread, f"{1000 * batch / time.median_ms:.0f}"
        )
    out.print(table)


def _exported(folder: Path, setting: Any, runner: Any) -> tuple[list[dict[str, Any]], list[Any]]:
    from bsconv_nas.export.verify import read_manifest

    manifest = read_manifest(folder)
    row = {"network": manifest["title"], "macs": manifest["macs"], "params": manifest["params"], "val_top1": None}
    return [row], [runner(folder, tuple(manifest["input_size"]), setting)]


def _front(study: Any, setting: Any, runner: Any) -> tuple[list[dict[str, Any]], list[Any]]:
    from bsconv_nas.nn.build import build

    check_networks(study)
    rows: list[dict[str, Any]] = []
    runners: list[Any] = []
    for record in study.front():
        arch = record.arch_spec()
        assert arch is not None, "studies without networks are refused"
        costs = plain_costs({name: record.cost[name] for name in cost_columns(record.cost)})
        rows.append({"network": f"trial {record.number}", "trial": record.number, **costs, "val_top1": record.top1})
        runners.append(runner(build(arch, seed=0), (arch.in_channels, *arch.image_size), setting))
    if not rows:
        raise StudyError(f"study {study.name!r} has no complete trial yet; run its search again")
    return rows, runners


def _measured(runners: list[Any], seconds: float, show: bool) -> Any:
    from bsconv_nas.latency.measure import ROUNDS, measure

    columns = (TextColumn("measuring"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not (show and err.is_terminal)) as bar:
        task = bar.add_task("", total=ROUNDS * len(runners))
        return measure(runners, seconds, lambda: bar.advance(task))
