"""`bsconv-nas report`."""

from pathlib import Path
from typing import Annotated

import typer

from bsconv_nas.base.files import write_atomic
from bsconv_nas.cli.console import DirOption, StorageOption, StudyArgument, out
from bsconv_nas.errors import UsageError
from bsconv_nas.study.locate import DEFAULT_DIR


def report(
    study: StudyArgument = None,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FOLDER", help="Folder to write (default: report in the study's).")
    ] = None,
    single_file: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write the page alone, as one file.")
    ] = None,
    directory: DirOption = DEFAULT_DIR,
    storage: StorageOption = None,
) -> None:
    """Write the dashboard of a study as files that work from disk: page, figures, tables."""
    from bsconv_nas.dashboard.source import open_source
    from bsconv_nas.report.page import report_page, write_report

    if to is not None and single_file is not None:
        raise UsageError("--to and --single-file exclude each other; give one of them")
    source = open_source(study, directory, storage)
    if single_file is not None:
        write_atomic(single_file, report_page(source))
        out.print(f"Report: {single_file}", highlight=False, markup=False, soft_wrap=True)
        return
    folder = to or source.folder / "report"
    files = write_report(source, folder)
    out.print("\n".join([f"Report: {folder}/", *(f"  {name}" for name in files)]), highlight=False, markup=False)
