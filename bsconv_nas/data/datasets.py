"""The data sets known by name, and how images are loaded from them or from a folder."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bsconv_nas.base.text import did_you_mean, printable
from bsconv_nas.data.cifar import load_cifar, load_cifar_test
from bsconv_nas.data.digits import load_digits, load_digits_test
from bsconv_nas.data.dogs import IMAGE_SIZE, load_dogs, load_dogs_test
from bsconv_nas.data.folder import check_folder_test, load_folder, load_folder_test
from bsconv_nas.data.images import ImageData, TestData
from bsconv_nas.data.options import LoadOptions, Progress
from bsconv_nas.errors import DataError


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set: its loaders and defaults.

    Args:
        name: what the user writes.
        title: what the user reads.
        load: (source, options) -> the train part with its hold-out; must not open the test part.
        load_test: (source, options) -> the test part.
        epochs: length of a brief training, unless the user says otherwise.
        image_size: native side in pixels; None: chosen from the images.
        flip: whether a mirrored image is still one of its class.
        check_test: (source) -> nothing; raises DataError where names alone show that `load_test` cannot succeed.
    """

    name: str
    title: str
    load: Callable[[str, LoadOptions], ImageData]
    load_test: Callable[[str, LoadOptions], TestData]
    epochs: int
    image_size: int | None
    flip: bool = True
    check_test: Callable[[str], None] | None = None


DATASETS: dict[str, Dataset] = {
    "digits": Dataset("digits", "handwritten digits (scikit-learn)", load_digits, load_digits_test, 20, 8, flip=False),
    "cifar10": Dataset("cifar10", "CIFAR-10", load_cifar, load_cifar_test, 8, 32),
    "cifar100": Dataset("cifar100", "CIFAR-100", load_cifar, load_cifar_test, 8, 32),
    "dogs": Dataset("dogs", "Stanford Dogs", load_dogs, load_dogs_test, 8, IMAGE_SIZE),
}
FOLDER = Dataset("folder", "a folder of images", load_folder, load_folder_test, 8, None, check_test=check_folder_test)
DEFAULT = "digits"


def find_dataset(source: str | None) -> Dataset:
    """Row of `DATASETS` with this name (None: digits), or `FOLDER` for the path of an existing folder.

    A name goes before a folder of that name; write `./cifar10` for the folder.

    Raises:
        DataError: neither a name nor a folder.
    """
    if source is None:
        return DATASETS[DEFAULT]
    if source in DATASETS:
        return DATASETS[source]
    path = os.path.expanduser(source)
    if os.path.isdir(path):
        return FOLDER
    shown = printable(source)
    if os.path.exists(path):
        raise DataError(f"data '{shown}' is a file; give a folder with the images of each class in a folder of its own")
    if "/" in source or source.startswith("~"):
        raise DataError(f"data folder '{shown}' does not exist; check the path")
    raise DataError(
        f"data '{shown}' is neither a known data set nor a folder; {did_you_mean(source.lower(), DATASETS)}, "
        "or give the path of a folder of images"
    )


def load_search_data(
    source: str | None,
    *,
    image_size: int | None = None,
    cache_dir: Path | None = None,
    download: bool = False,
    data_dir: Path | None = None,
    skip_bad_images: bool = False,
    progress: Progress | None = None,
) -> ImageData:
    """Load what a search may see: the train part, with a fixed, stratified share of it held out for validation.

    The test part is never opened. Decoded images are kept in `cache_dir` and memory-mapped, so that a second load
    decodes nothing and all processes of a machine share one copy (digits are small and stay in memory).

    Args:
        source: a name in `DATASETS`, the path of a folder of images (see `layout` for its shapes), or None: digits.
        image_size: see `LoadOptions`, as for all other arguments.

    Raises:
        DataError: unknown source, missing or empty folders, fewer than two classes, a class with fewer than two
            training images, unreadable images (unless `skip_bad_images`), files to download, a bad image size.
        StorageError: the cache folder cannot be written, or is full.
    """
    options = LoadOptions(image_size, cache_dir, download, data_dir, skip_bad_images, progress)
    return find_dataset(source).load(source or DEFAULT, options)


def load_test_data(
    source: str | None,
    *,
    image_size: int | None = None,
    cache_dir: Path | None = None,
    download: bool = False,
    data_dir: Path | None = None,
    skip_bad_images: bool = False,
    progress: Progress | None = None,
) -> TestData:
    """Load the test part at the size that `load_search_data` takes; for final evaluations only, never for a search.

    Of a folder, the headers of some training images are read to find that size if `image_size` is None.

    Args: as for `load_search_data`.

    Raises:
        DataError: as for `load_search_data`; also a test part without images, or with a class that is not trained.
        StorageError: the cache folder cannot be written, or is full.
    """
    options = LoadOptions(image_size, cache_dir, download, data_dir, skip_bad_images, progress)
    return find_dataset(source).load_test(source or DEFAULT, options)


def check_test_part(source: str | None) -> None:
    """Check what can be known of a test part by names alone, before time is spent on a training that is to end there.

    Raises:
        DataError: unknown source; a test folder without class folders, or with one that is not trained.
    """
    dataset = find_dataset(source)
    if dataset.check_test is not None:
        dataset.check_test(source or DEFAULT)
