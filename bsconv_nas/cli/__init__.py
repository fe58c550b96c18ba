"""The command line: thin verbs over the library. To add a verb: a function in a module here and a row in `app.py`."""

from bsconv_nas.cli.app import main

__all__ = ["main"]
