"""The command line, run in this process: starting another one and loading torch takes longer than most commands."""

import sys
import warnings

from bsconv_nas import cli


def run_command(arguments: list[str]) -> int:
    """Run `bsconv-nas` with arguments; the exit code. Leaves `sys.argv` changed."""
    sys.argv = ["bsconv-nas", *arguments]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries; a user sees them once
        try:
            cli.main()
        except SystemExit as end:
            return int(end.code or 0)
    return 0
