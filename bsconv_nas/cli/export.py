"""`bsconv-nas export`."""

from pathlib import Path
from typing import Annotated

import typer

from bsconv_nas.cli.choose import chosen_trial
from bsconv_nas.cli.console import DirOption, StorageOption, StudyArgument, out
from bsconv_nas.study.locate import DEFAULT_DIR, load_study


def export(
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="Folder to write.")],
    study: StudyArgument = None,
    trial: Annotated[int | None, typer.Option(metavar="N", help="Trial (default: the best).")] = None,
    directory: DirOption = DEFAULT_DIR,
    storage: StorageOption = None,
    force: Annotated[bool, typer.Option("--force", metavar="", help="Replace the folder if it exists.")] = False,
) -> None:
    """Write a network as files that run without this tool, and check that they do."""
    from bsconv_nas.export import export_trial

    found = load_study(study, directory, storage)
    record = chosen_trial(found, trial)
    files = export_trial(found, record, to, force)
    out.print(
        f"Exported trial {record.number} ({record.identity}) to {to}/, checked in a fresh process:", highlight=False
    )
    for name, meaning in files.items():
        out.print(f"  {name:<18} {meaning}", highlight=False, markup=False)
