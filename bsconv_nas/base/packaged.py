"""Where `search_spaces/` and `studies/` are: at the top of a checkout, inside the package in a wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def packaged_folder(kind: str) -> Path:
    """Folder of the packaged TOML files of a kind: `search_spaces` or `studies`."""
    packaged = _PACKAGE / "_packaged" / kind
    return packaged if packaged.is_dir() else _PACKAGE.parent / kind
