"""`bsconv-nas front`."""

from pathlib import Path
from typing import Annotated

import typer

from bsconv_nas.base.files import write_atomic
from bsconv_nas.cli.console import DirOption, JsonOption, StorageOption, StudyArgument, out, print_json
from bsconv_nas.cli.tables import front_rows, front_table
from bsconv_nas.study.locate import DEFAULT_DIR, find_folder, load_study


def front(
    study: StudyArgument = None,
    directory: DirOption = DEFAULT_DIR,
    storage: StorageOption = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the plot: .html (the whole report), .svg, .png or .pdf.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the networks that no other beats in both accuracy and MACs (or the study's own cost)."""
    opened = load_study(study, directory, storage)
    if plot is not None:
        _write_plot(find_folder(study, directory), storage, plot)
    if as_json:
        print_json(front_rows(opened))
        return
    records = opened.front()
    if records:
        out.print(front_table(records, records[-1].number, opened.objective))
    out.print(f"{len(records)} of {len(opened.records)} trials; study {opened.folder}", highlight=False)
    if plot is not None:
        out.print(f"Plot: {plot}", highlight=False)


def _write_plot(folder: Path, storage: str | None, plot: Path) -> None:
    from bsconv_nas.dashboard.source import StudySource
    from bsconv_nas.report.figures import check_format, draw_front, front_data
    from bsconv_nas.report.page import report_page

    check_format(plot, (".html",))
    source = StudySource(folder, storage)
    if plot.suffix.lower() == ".html":
        write_atomic(plot, report_page(source))
        return
    source.refresh()
    data = front_data(source.name, source.facts["limits"], source.table.rows.values(), source.table.objective)
    draw_front(data, plot)
