"""`bsconv-nas verify`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from bsconv_nas.cli.console import JsonOption, err, out, print_json
from bsconv_nas.errors import UsageError


def verify(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="An exported network.")],
    data: Annotated[
        str | None,
        typer.Option(metavar="NAME|FOLDER", help="Also measure accuracies on its test part."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run every file of an exported network in a fresh process, without this tool, and compare.

    Compares outputs, MACs and parameters with what the export wrote down, and test accuracies where the card has one.
    """
    from bsconv_nas.data import load_test_data
    from bsconv_nas.export.verify import read_manifest
    from bsconv_nas.export.verify import verify as run_verify
    from bsconv_nas.export.verify_program import in_words

    read_manifest(folder)
    test = None
    if data is not None:
        size, classes = _expected(folder)
        test = load_test_data(data, image_size=min(size))
        if classes and tuple(classes) != test.classes:
            raise UsageError(f"{data} has other classes than the network knows; give the images it was trained on")
    with err.status(f"checking {folder}/"):
        rows = run_verify(folder, test)
    if as_json:
        print_json(rows)
    else:
        for row in rows:
            state = "FAILED" if row["problems"] else "ok"
            out.print(f"{state:<7}{row['file']:<16} {in_words(row)}", highlight=False, markup=False)
    if any(row["problems"] for row in rows):
        raise typer.Exit(1)


def _expected(folder: Path) -> tuple[list[int], list[str]]:
    try:
        value = json.loads((folder / "preprocess.json").read_text())
        return value["image_size"], value["classes"]
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"{folder} has no valid preprocess.json; export it again") from error
