"""`bsconv-nas studies`."""

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from bsconv_nas.base.packaged import packaged_folder
from bsconv_nas.cli.console import DirOption, JsonOption, StorageOption, StudyArgument, out, print_json
from bsconv_nas.cli.tables import percent, record_row
from bsconv_nas.errors import BsconvNasError
from bsconv_nas.networks.metrics import cost_name, named_cost
from bsconv_nas.study.lease import is_searched
from bsconv_nas.study.locate import DEFAULT_DIR, find_folder, last_change, load_study, study_folders
from bsconv_nas.study.settings import read_study_file, recipe_names

app = typer.Typer(help="List studies and see how one stands.")


@app.callback(invoke_without_command=True)
def default(context: typer.Context) -> None:
    """List studies and see how one stands."""
    if context.invoked_subcommand is None:
        list_studies(DEFAULT_DIR, as_json=False)


@app.command("list")
def list_studies(directory: DirOption = DEFAULT_DIR, as_json: JsonOption = False) -> None:
    """List the studies of a folder, the latest first."""
    rows = [_row(folder, directory) for folder in study_folders(directory)]
    if as_json:
        print_json(rows)
        return
    if not rows:
        out.print(f"No study in {directory}/; start one with `bsconv-nas search`.", highlight=False)
        return
    table = Table(box=box.SIMPLE_HEAD)
    for header in ("study", "state", "trials", "best val top-1", "at cost", "last change"):
        table.add_column(header, no_wrap=True)
    for row in rows:
        best = row["best"] or {}
        cost = escape(named_cost(row["objective"], best[row["objective"]])) if best else "-"
        trials = f"{row['finished']}/{row['trials']}"
        table.add_row(row["study"], row["state"], trials, percent(best.get("val_top1")), cost, row["last_change"])
    out.print(table)


@app.command("recipes")
def recipes(as_json: JsonOption = False) -> None:
    """List the packaged settings for `search --config NAME`."""
    rows = [
        {"recipe": name, "title": read_study_file(packaged_folder("studies") / name).title} for name in recipe_names()
    ]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        out.print(f"{row['recipe']:<16} {row['title']}", highlight=False, markup=False)


@app.command("status")
def status(
    study: StudyArgument = None,
    directory: DirOption = DEFAULT_DIR,
    storage: StorageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how a study stands, and how to continue it."""
    folder = find_folder(study, directory)
    row = _row(folder, directory, storage)
    if as_json:
        print_json(row)
        return
    for key, value in row.items():
        shown = _best_text(value, row["objective"]) if key == "best" and value else value
        out.print(f"{key:>12}  {shown}", highlight=False, markup=False)


def _best_text(best: dict[str, Any], objective: str) -> str:
    return f"{best['val_top1']:.4f} at {best[objective]} {cost_name(objective)} (trial {best['trial']})"


def _row(folder: Path, directory: Path, storage: str | None = None) -> dict[str, Any]:
    changed = datetime.fromtimestamp(last_change(folder) or 0.0).isoformat(" ", "minutes")
    row: dict[str, Any] = {"study": folder.name, "folder": str(folder), "last_change": changed}
    try:
        study = load_study(str(folder), directory, storage)
    except BsconvNasError as error:
        return {**row, "state": f"unreadable: {error}", "trials": 0, "finished": 0, "best": None}
    records = study.records
    counts = Counter(str(record.state) for record in records)
    asked = read_study_file(folder).settings.trials
    state = "running" if is_searched(folder) else "finished" if len(records) >= asked else "interrupted"
    best = study.best()
    return {
        **row,
        "state": state,
        "trials": asked,
        "finished": len(records),
        **counts,
        "objective": study.objective,
        "limits": dict(study.limits.bounds),
        "best": record_row(best) if best else None,
    }
