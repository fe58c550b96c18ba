import errno
import hashlib
import pickle
import urllib.error
from pathlib import Path

import numpy as np
import pytest
from torchvision import datasets

from bsconv_nas.data import ImageData, cifar, load_search_data, load_test_data
from bsconv_nas.errors import DataError, StorageError
from tests.unit.data_helpers import rows

_PER_BATCH = 40


def _images(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (_PER_BATCH, 3, 32, 32), dtype=np.uint8)


def _dump(path: Path, content: dict) -> str:
    path.write_bytes(pickle.dumps(content))
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture(params=["cifar10", "cifar100"])
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def folders(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """A small copy of the data set in its own format, which torchvision takes for the real one."""
    kind = getattr(datasets, name.upper())
    root = tmp_path / "data" / kind.base_folder
    root.mkdir(parents=True)
    label_key = "labels" if name == "cifar10" else "fine_labels"
    labels = [row % 4 for row in range(_PER_BATCH)]
    for attribute in ("train_list", "test_list"):
        entries = []
        for file_name, _ in getattr(kind, attribute):
            seed = int(hashlib.md5(file_name.encode()).hexdigest()[:6], 16)
            content = {"data": _images(seed).reshape(_PER_BATCH, -1), label_key: labels}
            entries.append([file_name, _dump(root / file_name, content)])
        monkeypatch.setattr(kind, attribute, entries)
    md5 = _dump(root / kind.meta["filename"], {kind.meta["key"]: ["ant", "bee", "cow", "dog"]})
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": md5})
    return {"data_dir": tmp_path / "data", "cache_dir": tmp_path / "cache"}


def _test_file(name: str, folders: dict[str, Path]) -> Path:
    kind = getattr(datasets, name.upper())
    return folders["data_dir"] / kind.base_folder / kind.test_list[0][0]


def test_parts_are_read_apart(name: str, folders: dict[str, Path]):
    test = load_test_data(name, **folders)
    assert test.images.shape == (40, 32, 32, 3)
    assert test.labels.tolist() == [row % 4 for row in range(40)]
    _test_file(name, folders).unlink()  # a search needs no test file
    data = load_search_data(name, **folders)
    count = 200 if name == "cifar10" else 40
    assert (len(data.train_images), len(data.val_images)) == (count * 4 // 5, count // 5)
    assert len(set(np.bincount(data.val_labels))) == 1
    assert data.classes == test.classes == ("ant", "bee", "cow", "dog")
    assert not rows(test.images) & (rows(data.train_images) | rows(data.val_images))
    assert not rows(data.train_images) & rows(data.val_images)


def test_pixels_and_labels_are_those_of_the_files(folders: dict[str, Path], name: str):
    kind = getattr(datasets, name.upper())
    file_name = kind.train_list[0][0]
    first = _images(int(hashlib.md5(file_name.encode()).hexdigest()[:6], 16)).transpose(0, 2, 3, 1)
    label_of = {image.tobytes(): row % 4 for row, image in enumerate(first)}
    data = load_search_data(name, **folders)
    found = 0
    for images, labels in ((data.train_images, data.train_labels), (data.val_images, data.val_labels)):
        for image, label in zip(images, labels, strict=True):
            if image.tobytes() in label_of:
                found += 1
                assert label_of[image.tobytes()] == label
    assert found == 40


def _same(first: ImageData, second: ImageData) -> bool:
    return first.fingerprint == second.fingerprint and first.classes == second.classes


def test_the_second_load_comes_from_the_cache(
    name: str, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    first = load_search_data(name, **folders)
    small = load_search_data(name, image_size=16, **folders)
    assert small.image_size == (16, 16)
    assert not _same(small, first)
    monkeypatch.setattr(cifar, "_read", None)
    second = load_search_data(name, **folders)
    assert _same(first, second)
    assert isinstance(second.train_images, np.memmap)
    assert second.val_labels.tolist() == first.val_labels.tolist()


def test_missing_files(name: str, tmp_path: Path):
    for load in (load_search_data, load_test_data):
        with pytest.raises(DataError, match=rf"{name} is not in '.*'; add --download to fetch it"):
            load(name, data_dir=tmp_path, cache_dir=tmp_path)


def test_damaged_files(name: str, folders: dict[str, Path]):
    _test_file(name, folders).write_bytes(b"damaged")
    load_search_data(name, **folders)
    with pytest.raises(DataError, match="is incomplete or damaged; remove it and add --download"):
        load_test_data(name, **folders)


@pytest.mark.parametrize(
    ("problem", "kind", "message"),
    [
        (urllib.error.URLError("Name or service not known"), DataError, "cannot download .* known; check the network"),
        (ConnectionResetError(errno.ECONNRESET, "reset by peer"), DataError, "cannot download .*reset by peer"),
        (RuntimeError("File not found or corrupted."), DataError, "incomplete or damaged; remove it and run again"),
        (EOFError("end of archive"), DataError, "incomplete or damaged"),
        (OSError(errno.ENOSPC, "No space left on device"), StorageError, "cannot write .*No space left on device"),
    ],
)
def test_a_download_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: Exception, kind: type[Exception], message: str
):
    def fail(*args: object, **options: object) -> None:
        raise problem

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", fail)
    with pytest.raises(kind, match=message) as caught:
        load_search_data("cifar10", data_dir=tmp_path / "data", cache_dir=tmp_path, download=True)
    assert "\n" not in str(caught.value)


def test_a_download_makes_the_files(name: str, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch):
    moved = folders["data_dir"].with_name("moved")
    folders["data_dir"].rename(moved)
    monkeypatch.setattr(
        "torchvision.datasets.cifar.download_and_extract_archive",
        lambda url, root, **options: moved.rename(folders["data_dir"]),
    )
    assert load_search_data(name, download=True, **folders).num_classes == 4


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_the_file_names_are_torchvisions(name: str):
    files, kind = cifar._FILES[name], getattr(datasets, name.upper())
    assert files.folder == kind.base_folder
    assert list(files.train) == [entry[0] for entry in kind.train_list]
    assert list(files.test) == [entry[0] for entry in kind.test_list]
    assert files.meta == kind.meta["filename"]
