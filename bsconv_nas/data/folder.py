"""A user's own folder of images, in one of the shapes that `layout` describes."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bsconv_nas.base.text import listed, printable
from bsconv_nas.data.image_size import choose_image_size
from bsconv_nas.data.images import ImageData, TestData
from bsconv_nas.data.layout import Layout, find_layout
from bsconv_nas.data.listing import ImageFile, labels_of, list_images, visible_folders
from bsconv_nas.data.options import LoadOptions
from bsconv_nas.data.plans import HoldOut, divided, whole_test_part
from bsconv_nas.data.rows import Plan, load_rows
from bsconv_nas.data.split import test_mask
from bsconv_nas.errors import DataError

_log = logging.getLogger(__name__)


def load_folder(source: str, options: LoadOptions) -> ImageData:
    """Load the train part of a folder. Files of its test part are not opened.

    A test folder is not even listed. Where the test part is split off, names have to be read, since they decide.

    Raises:
        DataError: see `load_search_data`.
        StorageError: the cache folder cannot be written, or is full.
    """
    folder = _Folder.open(source)
    train = folder.train_files()
    image_size = options.image_size or choose_image_size(folder.layout.root, train)
    if folder.layout.val is None:
        rows = load_rows(folder.layout.root, train, HoldOut(folder.classes), image_size, options)
    else:
        val = folder.files(folder.layout.val)
        plan = _OwnValidation(folder.classes, frozenset(file.path for file in val))
        rows = load_rows(folder.layout.root, train + val, plan, image_size, options)
    return rows.image_data(folder.name, folder.class_names)


def load_folder_test(source: str, options: LoadOptions) -> TestData:
    """Load the test part of a folder, at the image size that `load_folder` takes.

    Raises:
        DataError: see `load_test_data`.
        StorageError: the cache folder cannot be written, or is full.
    """
    folder = _Folder.open(source)
    image_size = options.image_size or choose_image_size(folder.layout.root, folder.train_files())
    rows = load_rows(folder.layout.root, folder.test_files(), whole_test_part, image_size, options)
    return rows.test_data(folder.class_names)


def check_folder_test(source: str) -> None:
    """Check the names of the class folders of a test folder; nothing inside them is looked at.

    Raises:
        DataError: it has none, or one that the train part lacks.
    """
    folder = _Folder.open(source)
    if folder.layout.test is not None:
        folder.class_folders(folder.layout.test)


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder of images; `classes` are the names of its class folders."""

    layout: Layout
    classes: tuple[str, ...]

    @classmethod
    def open(cls, source: str) -> "_Folder":
        layout = find_layout(Path(os.path.expanduser(source)))
        classes = tuple(visible_folders(layout.root / layout.train))
        if len(classes) < 2:
            problem = f"only one class folder ({listed(classes)})" if classes else "no class folders"
            raise DataError(
                f"{problem} in {str(layout.root / layout.train)!r}; at least 2 classes are needed, "
                "each a folder of images: <class>/*.jpg"
            )
        return cls(layout, classes)

    @property
    def name(self) -> str:
        return printable(str(self.layout.root))

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(map(printable, self.classes))

    def train_files(self) -> list[ImageFile]:
        files = list_images(self.layout.root, self.layout.train, _numbered(self.classes))
        return files if self.layout.test is not None else _split_off(files)[0]

    def test_files(self) -> list[ImageFile]:
        if self.layout.test is not None:
            return self.files(self.layout.test, all_classes=False)
        return _split_off(list_images(self.layout.root, self.layout.train, _numbered(self.classes)))[1]

    def files(self, part: str, *, all_classes: bool = True) -> list[ImageFile]:
        """Images of a part that has the class folders of the train part, or some of them."""
        names = self.class_folders(part)
        missing = [name for name in self.classes if name not in names]
        if missing and all_classes:
            raise DataError(f"{part!r} of {self.name!r} lacks class folder {listed(missing)}; add it with its images")
        if missing:
            _log.warning("%r of %r has no images of class %s", part, self.name, listed(missing))
        labels = _numbered(self.classes)
        return list_images(self.layout.root, part, {name: labels[name] for name in names})

    def class_folders(self, part: str) -> list[str]:
        """Names of the class folders of a part: at least one, and each of them in the train part."""
        names = visible_folders(self.layout.root / part)
        if not names:
            raise DataError(
                f"{part!r} of {self.name!r} has no class folders, which say what images show; add "
                f"{part}/<class>/*.jpg, or move {part!r} elsewhere: a share of {self.layout.train!r} takes its place"
            )
        unknown = [name for name in names if name not in self.classes]
        if unknown:
            raise DataError(
                f"class folder {listed(unknown)} in {part!r} of {self.name!r} is not in {self.layout.train!r}; "
                "use the same class folders in all parts"
            )
        return names


@dataclass(frozen=True, slots=True)
class _OwnValidation:
    """Training images first, then those of the validation folder; each sorted."""

    classes: tuple[str, ...]
    val_paths: frozenset[str]

    def __call__(self, files: list[ImageFile]) -> Plan:
        train, val = divided(files, [file.path in self.val_paths for file in files])
        for what, part in (("training", train), ("validation", val)):
            missing = sorted(set(range(len(self.classes))) - {file.label for file in part})
            if missing:
                names = listed([self.classes[label] for label in missing])
                raise DataError(f"class {names} has 0 readable {what} images; at least 1 is needed; add images")
        return Plan(train + val, len(train))


def _split_off(files: list[ImageFile]) -> tuple[list[ImageFile], list[ImageFile]]:
    return divided(files, test_mask([file.path for file in files], labels_of(files)).tolist())


def _numbered(classes: Sequence[str]) -> dict[str, int]:
    return {name: label for label, name in enumerate(classes)}
