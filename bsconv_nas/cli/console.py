"""Output: data to stdout, everything else to stderr; JSON; shared options."""

import json
import sys
import textwrap
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

_FREE = 128  # columns where there is no terminal whose width to keep to: every table stays whole
out = Console(width=None if sys.stdout.isatty() else _FREE)
err = Console(stderr=True, width=None if sys.stderr.isatty() else _FREE)

JsonOption = Annotated[bool, typer.Option("--json", metavar="", help="Print JSON.")]
DirOption = Annotated[Path, typer.Option("--dir", help="Folder of studies.", metavar="FOLDER")]
StorageOption = Annotated[
    str | None, typer.Option("--storage", help="Optuna database URL (default: SQLite in the study).", metavar="URL")
]
StudyArgument = Annotated[
    str | None, typer.Argument(metavar="STUDY", help="Name or path of a study (default: the latest).")
]


def hanging(text: str, width: int) -> str:
    """Lines of a label of ten columns and a text, which goes on below itself where it is too long for the width."""
    indent = 10 * " "
    wrap = textwrap.TextWrapper(width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    lines: list[str] = []
    for line in text.splitlines():
        wrap.initial_indent = line[: len(indent)]
        lines.append(wrap.fill(line[len(indent) :]))
    return "\n".join(lines)


def print_json(value: Any) -> None:
    """Print JSON on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def fail(message: str, code: int) -> NoReturn:
    """Print one line on stderr and exit."""
    lines = message.strip().splitlines() or ["unknown error"]
    sys.stderr.write(f"bsconv-nas: error: {lines[0]}\n")
    sys.exit(code)
