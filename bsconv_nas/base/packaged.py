"""Where `search_spaces/` and `studies/` are: at the top of a checkout, inside the package in a wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def packaged_folder(folder: str) -> Path:
    """Where the packaged TOML files of `search_spaces` or `studies` lie."""
    packaged = _PACKAGE / "_packaged" / folder
    return packaged if packaged.is_dir() else _PACKAGE.parent / folder
