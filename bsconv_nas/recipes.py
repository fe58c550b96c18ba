"""Where the recipes are: `search_spaces/` and `studies/` at the top of a checkout, inside the package in a wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def recipe_folder(kind: str) -> Path:
    """Folder of the packaged recipes of a kind: `search_spaces` or `studies`."""
    packaged = _PACKAGE / "_recipes" / kind
    return packaged if packaged.is_dir() else _PACKAGE.parent / kind
