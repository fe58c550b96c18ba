"""Stanford Dogs on disk: 20 580 images in a folder per breed, and the published lists of its two parts.

A root folder has `Images/<breed>/<file>.jpg`, `train_list.mat` and `test_list.mat`, as the two archives at
https://vision.stanford.edu/aditya86/ImageNetDogs extract to.
"""

import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bsconv_nas.base.text import listed
from bsconv_nas.data.fetch import Remote, fetch, sole_writer
from bsconv_nas.data.listing import ImageFile, image_file
from bsconv_nas.data.unpack import unpack
from bsconv_nas.errors import DataError

_URL = "https://vision.stanford.edu/aditya86/ImageNetDogs"
_IMAGES = "Images"
_TRAIN_LIST = "train_list.mat"
_TEST_LIST = "test_list.mat"


class Archive(NamedTuple):
    """An archive and the names that it extracts to."""

    remote: Remote
    names: tuple[str, ...]


ARCHIVES = (
    Archive(
        Remote(f"{_URL}/lists.tar", "edbb9f16854ec66506b5f09b583e0656"), ("file_list.mat", _TRAIN_LIST, _TEST_LIST)
    ),
    Archive(Remote(f"{_URL}/images.tar", "1bb1f2a596ae7057f99d7d75860002ef"), (_IMAGES,)),
)


class Counts(NamedTuple):
    """Images of each part, and classes."""

    train: int
    test: int
    classes: int


COUNTS = Counts(train=12_000, test=8_580, classes=120)


class DogFiles(NamedTuple):
    """Images of one part in the order of its list, and the breed folders, sorted: the label is the place there."""

    files: list[ImageFile]
    classes: tuple[str, ...]


def dog_files(root: Path, *, train: bool, download: bool = False) -> DogFiles:
    """All files of the train part or of the test part.

    The train part is known from its own list alone. The test part needs both lists: classes are those of the train
    part, and no image may be in both.

    Raises:
        DataError: files are missing or damaged and were not to be, or could not be, downloaded; or lists that are not
            those of 12 000 and 8 580 images of 120 breeds.
        StorageError: the folder cannot be written, or is full.
    """
    _provide(root, (_IMAGES, _TRAIN_LIST) if train else (_IMAGES, _TRAIN_LIST, _TEST_LIST), download)
    names = _read_list(root / _TRAIN_LIST, COUNTS.train)
    classes = tuple(sorted(set(map(_breed, names))))
    if len(classes) != COUNTS.classes:
        raise _wrong_list(root / _TRAIN_LIST, f"{len(classes)} breeds instead of {COUNTS.classes}")
    if not train:
        names = _test_names(root / _TEST_LIST, names)
    labels = {breed: label for label, breed in enumerate(classes)}
    files = [image_file(root / _IMAGES / name, f"{_IMAGES}/{name}", labels[_breed(name)]) for name in names]
    missing = [file.path for file in files if file.size < 0]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(files)} images are missing in {str(root)!r}: {listed(missing)}; "
            f"remove its folder {_IMAGES} and add --download"
        )
    return DogFiles(files, classes)


def _provide(root: Path, needed: Sequence[str], download: bool) -> None:
    """Make sure that these names are there: archives that are not there yet are fetched and extracted."""
    missing = _missing(root, needed)
    if not missing:
        return
    if not download:
        raise DataError(
            f"Stanford Dogs has no {listed(missing)} in {str(root)!r}; add --download to fetch it (0.8 GB), "
            "or give the data folder that has it"
        )
    with sole_writer(root):
        for archive in ARCHIVES:
            if _missing(root, [name for name in archive.names if name in needed]):
                unpack(fetch(archive.remote, root), archive.names)


def _missing(root: Path, names: Sequence[str]) -> list[str]:
    return [name for name in names if not (root / name).exists()]


def _test_names(path: Path, train_names: Sequence[str]) -> list[str]:
    names = _read_list(path, COUNTS.test)
    shared = sorted(set(names) & set(train_names))
    if shared:
        raise _wrong_list(path, f"images that are in {_TRAIN_LIST} too: {listed(shared)}")
    unknown = sorted(set(map(_breed, names)) - set(map(_breed, train_names)))
    if unknown:
        raise _wrong_list(path, f"breeds that are not in {_TRAIN_LIST}: {listed(unknown)}")
    return names


def _read_list(path: Path, count: int) -> list[str]:
    """`<breed>/<file>` of each image in a list of MATLAB's format: a column of cells with one text each."""
    from scipy.io import loadmat, matlab  # Importing scipy takes half a second, and only this data set needs it.

    try:
        cells: Any = loadmat(path, variable_names=["file_list"])["file_list"]
        names = [str(cell.item()) for cell in cells.ravel()]
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError, ArithmeticError) as error:
        raise _wrong_list(path, f"no readable file_list ({error})") from error
    except (zlib.error, matlab.MatReadError) as error:
        raise _wrong_list(path, f"no readable file_list ({error})") from error
    strange = [name for name in names if name.count("/") != 1 or {"", ".", ".."} & set(name.split("/"))]
    if strange:
        raise _wrong_list(path, f"names that are not <breed>/<file>: {listed(strange)}")
    if not len(names) == len(set(names)) == count:
        raise _wrong_list(path, f"{len(set(names))} different images instead of {count}")
    return names


def _breed(name: str) -> str:
    return os.path.dirname(name)


def _wrong_list(path: Path, problem: str) -> DataError:
    return DataError(
        f"{str(path)!r} has {' '.join(problem.split())}, so it is not the published list; remove it and add --download"
    )
