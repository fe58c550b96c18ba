"""`bsconv-nas dashboard`."""

import webbrowser
from typing import Annotated

import typer

from bsconv_nas.cli.console import DirOption, StorageOption, out
from bsconv_nas.study.locate import DEFAULT_DIR


def dashboard(
    studies: Annotated[
        list[str] | None, typer.Argument(metavar="STUDY ...", help="Names or paths (default: all of --dir).")
    ] = None,
    directory: DirOption = DEFAULT_DIR,
    storage: StorageOption = None,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to serve on; other than this machine's own: with a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0: any free one.")] = 8765,
    show: Annotated[bool, typer.Option("--open", metavar="", help="Open it in the browser.")] = False,
) -> None:
    """Show accuracy versus MACs on a live page, while a search runs and after; Ctrl-C ends it.

    It only reads: a running search is not disturbed.
    """
    from bsconv_nas.dashboard.hub import Hub
    from bsconv_nas.dashboard.server import serve

    def ready(link: str) -> None:
        out.print(f"Dashboard: {link}\nCtrl-C ends it.", highlight=False, markup=False, soft_wrap=True)
        if show:
            webbrowser.open(link)

    serve(Hub(studies or [], directory, storage), host, port, ready)
