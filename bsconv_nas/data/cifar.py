"""CIFAR-10 and CIFAR-100, as torchvision downloads, checks and reads them.

The files are pickles; torchvision opens them only if their MD5 is the published one. After the first time they are
read from the cache, without torchvision.
"""

import errno
import tarfile
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from bsconv_nas.data.cache import ArrayFile, CacheEntry, cache_key, read_entry
from bsconv_nas.data.decode import square
from bsconv_nas.data.decode_all import batch_rows
from bsconv_nas.data.images import ImageData, Images, Labels, TestData, image_data
from bsconv_nas.data.options import LoadOptions
from bsconv_nas.data.split import validation_mask
from bsconv_nas.errors import DataError, StorageError

_NATIVE_SIZE = 32
_NO_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)


@dataclass(frozen=True, slots=True)
class _Files:
    """Files of one data set, as torchvision's class of that name has them (a test compares)."""

    torchvision_class: str
    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    meta: str


_FILES = {
    "cifar10": _Files(
        "CIFAR10",
        "cifar-10-batches-py",
        tuple(f"data_batch_{number}" for number in range(1, 6)),
        ("test_batch",),
        "batches.meta",
    ),
    "cifar100": _Files("CIFAR100", "cifar-100-python", ("train",), ("test",), "meta"),
}


def load_cifar(source: str, options: LoadOptions) -> ImageData:
    """Load the train part; the file of the test part may be missing.

    Raises:
        DataError: the files are missing or damaged and were not to be, or could not be, downloaded.
        StorageError: the cache or data folder cannot be written, or is full.
    """
    entry = _load(source, options, train=True)
    labels = np.array(entry.info["labels"], dtype=np.int64)
    classes = tuple(entry.info["classes"])
    return image_data(source, entry.images, labels, entry.info["train_count"], classes, entry.sha256)


def load_cifar_test(source: str, options: LoadOptions) -> TestData:
    """Load the test part.

    Raises:
        DataError: the files are missing or damaged and were not to be, or could not be, downloaded.
        StorageError: the cache or data folder cannot be written, or is full.
    """
    entry = _load(source, options, train=False)
    labels = np.array(entry.info["labels"], dtype=np.int64)
    labels.flags.writeable = False
    return TestData(entry.images, labels, tuple(entry.info["classes"]))


def _load(source: str, options: LoadOptions, *, train: bool) -> CacheEntry:
    files = _FILES[source]
    key = _key(files, options, train=train)
    if key is None and not options.download:
        raise DataError(
            f"{source} is not in {str(options.data_folder)!r}; add --download to fetch it, "
            f"or give the data folder that has {files.folder}/"
        )
    entry = None if key is None else read_entry(options.cache_folder, key)
    if entry is not None:
        return entry
    dataset = _read(source, files, options, train=train)
    key = _key(files, options, train=train)
    assert key is not None  # torchvision has just read the files
    return _store(dataset, key, options, train=train)


def _key(files: _Files, options: LoadOptions, *, train: bool) -> str | None:
    """Cache key of one part, or None if a file is missing."""
    names = (*(files.train if train else files.test), files.meta)
    root = options.data_folder / files.folder
    try:
        status = [(root / name).stat() for name in names]
    except OSError:
        return None
    listed = zip(names, status, strict=True)
    # 32 is the images' native size, so both requests give the same pixels and share one cache key.
    return cache_key(root, ((name, s.st_size, s.st_mtime_ns) for name, s in listed), options.image_size or _NATIVE_SIZE)


def _read(source: str, files: _Files, options: LoadOptions, *, train: bool) -> Any:
    """torchvision's data set of one part, downloaded if that is wanted."""
    from torchvision import datasets  # Imported here because it imports torch.

    base = getattr(datasets, files.torchvision_class)
    # Only the files of this part are checked: checking the others would read them for nothing.
    part = type(base.__name__, (base,), {"test_list" if train else "train_list": []})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy's, of how pickles of 2009 name a dtype
            return part(options.data_folder, train=train, download=options.download)
    except OSError as error:
        if error.errno in _NO_WRITING:
            raise StorageError(
                f"cannot write {source} to {options.data_folder}: {error.strerror}; make room or choose another "
                "data folder, then run the same command again: what is stored is kept"
            ) from error
        reason = getattr(error, "reason", None) or error
        raise DataError(
            f"cannot download {source} from {base.url}: {reason}; check the network, "
            f"or copy {files.folder}/ to {str(options.data_folder)!r}"
        ) from error
    except (RuntimeError, EOFError, tarfile.TarError) as error:
        next_step = "remove it and run again" if options.download else "remove it and add --download"
        raise DataError(
            f"{source} in {str(options.data_folder / files.folder)!r} is incomplete or damaged; {next_step}"
        ) from error


def _store(dataset: Any, key: str, options: LoadOptions, *, train: bool) -> CacheEntry:
    labels: Labels = np.array(dataset.targets, dtype=np.int64)
    order, train_count = np.arange(len(labels)), 0
    if train:
        held_out = validation_mask([f"{row:05d}" for row in order], labels, dataset.classes)
        order = np.concatenate([np.flatnonzero(~held_out), np.flatnonzero(held_out)])
        train_count = int(np.count_nonzero(~held_out))
    size = options.image_size or _NATIVE_SIZE
    step = batch_rows(size)
    with ArrayFile(options.cache_folder, key, len(order), size) as array:
        for start in range(0, len(order), step):
            array.write(_resized(dataset.data[order[start : start + step]], size))
            if options.progress is not None:
                options.progress(min(start + step, len(order)), len(order))
        info = {"labels": labels[order].tolist(), "classes": list(dataset.classes), "train_count": train_count}
        return array.publish(info)


def _resized(images: Images, image_size: int) -> Images:
    if image_size == _NATIVE_SIZE:
        return images
    return np.stack([np.asarray(square(Image.fromarray(image), image_size)) for image in images])
