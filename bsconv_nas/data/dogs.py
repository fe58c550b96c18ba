"""Stanford Dogs: 120 breeds, 12 000 images to search on and 8 580 to test on, the published split.

`StanfordDogs` is the same data as a torchvision data set; asking for it imports torch.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bsconv_nas.data.dogs_files import DogFiles, dog_files
from bsconv_nas.data.images import ImageData, TestData
from bsconv_nas.data.options import LoadOptions
from bsconv_nas.data.plans import HoldOut, whole_test_part
from bsconv_nas.data.rows import Planner, Rows, load_rows

if TYPE_CHECKING:
    from bsconv_nas.data.dogs_dataset import StanfordDogs

__all__ = ["FOLDER_NAME", "IMAGE_SIZE", "StanfordDogs", "load_dogs", "load_dogs_test"]

FOLDER_NAME = "stanford-dogs"  # in the data folder
IMAGE_SIZE = 224


def load_dogs(source: str, options: LoadOptions) -> ImageData:
    """Load the train part, 20 % of each breed held out; the list of the test part may be missing.

    Raises:
        DataError: see `dog_files`; also unreadable images, unless they are to be skipped.
        StorageError: the cache or data folder cannot be written, or is full.
    """
    dogs = dog_files(_root(options), train=True, download=options.download)
    return _rows(dogs, HoldOut(dogs.classes), options).image_data(source, dogs.classes)


def load_dogs_test(source: str, options: LoadOptions) -> TestData:
    """Load the test part.

    Raises:
        DataError: see `dog_files`; also unreadable images, unless they are to be skipped.
        StorageError: the cache or data folder cannot be written, or is full.
    """
    dogs = dog_files(_root(options), train=False, download=options.download)
    return _rows(dogs, whole_test_part, options).test_data(dogs.classes)


def _root(options: LoadOptions) -> Path:
    return options.data_folder / FOLDER_NAME


def _rows(dogs: DogFiles, planner: Planner, options: LoadOptions) -> Rows:
    return load_rows(_root(options), dogs.files, planner, options.image_size or IMAGE_SIZE, options)


def __getattr__(name: str) -> Any:
    if name == "StanfordDogs":
        from bsconv_nas.data.dogs_dataset import StanfordDogs

        return StanfordDogs
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
