"""The list of verbs, and what an error looks like."""

import sys
import traceback
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from bsconv_nas import __version__
from bsconv_nas.cli import (
    calibrate,
    convert,
    dashboard,
    export,
    finalize,
    front,
    latency,
    models,
    profile,
    report,
    search,
    spaces,
    studies,
    train,
    verify,
)
from bsconv_nas.cli.console import fail
from bsconv_nas.errors import BsconvNasError

EPILOG = (
    "Exit codes: 0 done, 1 failed, 2 a value or file that cannot be used (nothing stored is lost), "
    "130 interrupted (run the same command again to continue)."
)

_INTERRUPTED = "interrupted; run the same command again to continue"


class _Verbs(TyperGroup):
    """Says one line when a verb is interrupted: some releases of typer just end then."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            fail(_INTERRUPTED, 130)


app = typer.Typer(
    name="bsconv-nas",
    cls=_Verbs,
    help="Search convolutional networks of Blueprint Separable Convolutions for a compute budget.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
)
app.command("search")(search.search)
app.command("calibrate")(calibrate.calibrate)
app.command("front")(front.front)
app.command("dashboard")(dashboard.dashboard)
app.command("report")(report.report)
app.command("profile")(profile.profile)
app.command("export")(export.export)
app.command("latency")(latency.latency)
app.command("verify")(verify.verify)
app.command("finalize")(finalize.finalize)
app.command("train")(train.train)
app.command("models")(models.models)
app.command("convert")(convert.convert)
app.add_typer(spaces.app, name="spaces")
app.add_typer(studies.app, name="studies")


def _version(shown: bool) -> None:
    if shown:
        typer.echo(f"bsconv-nas {__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", metavar="", help="Show tracebacks.")] = False,
    version: Annotated[
        bool, typer.Option("--version", metavar="", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Options that stand before the verb."""


# click's UsageError, or that of the copy of click which newer releases of typer carry.
_OptionError: Any = typer.BadParameter.__base__


def _refuse(error: Any) -> NoReturn:
    """One line instead of typer's box of five; without any arguments, the help."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        sys.exit(2)
    verb = error.ctx.command_path if error.ctx else "bsconv-nas"
    message = " ".join(error.format_message().split()).rstrip(".?")
    fail(f"{message}; see `{verb} -h`", 2)


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        sys.exit(app(prog_name="bsconv-nas", standalone_mode=False) or 0)
    except _OptionError as error:
        _refuse(error)
    except (typer.Abort, KeyboardInterrupt):
        fail(_INTERRUPTED, 130)
    except BsconvNasError as error:
        if "--debug" in sys.argv:
            traceback.print_exc()
        fail(str(error), error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        fail(f"{type(error).__name__}: {error} (an error in bsconv-nas; --debug before the verb shows where)", 1)
