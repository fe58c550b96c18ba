"""Where the parts of a folder of images are.

| folder has | train part | validation part | test part |
|---|---|---|---|
| `train/` and `test/` | `train/` | held out of `train/` | `test/` |
| `train/` and `val/` | `train/` | held out of `train/` | `val/` (as ImageNet is used) |
| `train/`, `val/` and `test/` | `train/` | `val/` | `test/` |
| `train/` only | `train/`, minus the test part | held out | 20 % of `train/` |
| class folders | all of them, minus the test part | held out | 20 % of each class |

`valid/` and `validation/` are other names of `val/`; capital letters do not matter.
"""

from dataclasses import dataclass
from pathlib import Path

from bsconv_nas.base.text import listed
from bsconv_nas.data.listing import visible_folders
from bsconv_nas.errors import DataError

_PARTS = {"train": "train", "test": "test", "val": "val", "valid": "val", "validation": "val"}


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths relative to `root` of the folders that hold class folders; `.` is the root itself.

    `val` is None if validation images are held out of `train`, `test` is None if the test part is split off it.
    """

    root: Path
    train: str
    val: str | None = None
    test: str | None = None


def find_layout(root: Path) -> Layout:
    """Look at the names in `root`, and at nothing below it.

    Raises:
        DataError: no folder, nothing in it, a test part without `train/`, or two folders for one part.
    """
    folders = visible_folders(root)
    if not folders:
        raise DataError(
            f"no class folders in {str(root)!r}; put the images of each class in a folder of its own: "
            "<class>/*.jpg, or train/<class>/*.jpg and test/<class>/*.jpg"
        )
    parts: dict[str, list[str]] = {}
    for name in folders:
        if name.casefold() in _PARTS:
            parts.setdefault(_PARTS[name.casefold()], []).append(name)
    if "train" not in parts:
        if sum(map(len, parts.values())) == len(folders):
            raise DataError(f"{str(root)!r} has {listed(folders)} but no folder 'train'; add train/<class>/*.jpg")
        return Layout(root, ".")
    if len(parts) == 1 and len(folders) > len(parts["train"]):
        return Layout(root, ".")  # `train` beside other folders, and no test part: a class, of locomotives
    by_part = {part: _only(root, part, names) for part, names in parts.items()}
    if "test" in by_part:
        return Layout(root, by_part["train"], by_part.get("val"), by_part["test"])
    return Layout(root, by_part["train"], None, by_part.get("val"))


def _only(root: Path, part: str, names: list[str]) -> str:
    if len(names) > 1:
        raise DataError(f"{str(root)!r} has {listed(names)}, which all mean {part!r}; keep one of them")
    return names[0]
