"""`bsconv-nas front`."""

from pathlib import Path
from typing import Annotated

import typer

from bsconv_nas.cli.console import DirOption, JsonOption, StorageOption, StudyArgument, out, print_json
from bsconv_nas.cli.tables import front_rows, front_table
from bsconv_nas.files import write_atomic
from bsconv_nas.study.locate import DEFAULT_DIR, load_study


def front(
    study: StudyArgument = None,
    directory: DirOption = DEFAULT_DIR,
    storage: StorageOption = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write the plot of accuracy versus MACs.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the networks that no other beats in both accuracy and MACs."""
    found = load_study(study, directory, storage)
    if plot is not None:
        from bsconv_nas.figures import draw_front, front_data

        write_atomic(plot, draw_front(front_data(found)))
    if as_json:
        print_json(front_rows(found))
        return
    records = found.front()
    if records:
        out.print(front_table(records, best=records[-1].number))
    out.print(f"{len(records)} of {len(found.records)} trials; study {found.folder}", highlight=False)
    if plot is not None:
        out.print(f"Plot: {plot}", highlight=False)
