"""Stanford Dogs as a torchvision data set, image by image and in full resolution."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchvision.datasets import VisionDataset
from torchvision.datasets.folder import default_loader

from bsconv_nas.data.dogs_files import dog_files

# The oldest supported torchvision has no type parameters here.
_VisionDataset = VisionDataset[tuple[Any, Any]] if TYPE_CHECKING else VisionDataset


class StanfordDogs(_VisionDataset):
    """Pairs of an image and the label of its breed, 12 000 for training or 8 580 for testing.

    Args:
        root: folder with `Images/`, `train_list.mat` and `test_list.mat`, or where a download puts them.
        train: the train part, or the test part.
        transforms: (image, label) -> (image, label); excludes the next two.
        transform: applied to the image alone.
        target_transform: applied to the label alone.
        download: fetch what is missing (0.8 GB).
        loader: path -> image; the default gives RGB images of Pillow.

    Attributes:
        targets: label of each image, 0 to 119.
        image_filenames: path of each image, in the order of the published list.
        classes: breed folder of each label, such as `n02085620-Chihuahua`.
        unique_class_names: WordNet name of each label, such as `n02085620`.

    Raises:
        ValueError: `transforms` beside `transform` or `target_transform`.
        DataError, StorageError: see `dog_files`.
    """

    def __init__(
        self,
        root: str | Path,
        train: bool = True,
        transforms: Callable[[Any, Any], tuple[Any, Any]] | None = None,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        download: bool = False,
        loader: Callable[[str], Any] = default_loader,
    ) -> None:
        super().__init__(os.path.expanduser(root), transforms, transform, target_transform)
        self.train = train
        self.loader = loader
        files, self.classes = dog_files(Path(self.root), train=train, download=download)
        self.targets = tuple(file.label for file in files)
        self.image_filenames = tuple(os.path.join(self.root, file.path) for file in files)
        self.unique_class_names = tuple(name.partition("-")[0] for name in self.classes)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image, target = self.loader(self.image_filenames[index]), self.targets[index]
        return (image, target) if self.transforms is None else self.transforms(image, target)

    def __len__(self) -> int:
        return len(self.image_filenames)

    def extra_repr(self) -> str:
        return f"Split: {'train' if self.train else 'test'}"
