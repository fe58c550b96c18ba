import subprocess
import sys

import numpy as np
import pytest

from bsconv_nas.data import DATASETS, FOLDER, find_dataset, load_search_data, load_test_data
from bsconv_nas.data.images import ImageData, image_data
from bsconv_nas.errors import DataError
from tests.unit.data_helpers import rows


def test_digits_are_split_in_three_stratified_parts():
    data, test = load_search_data(None), load_test_data("digits")
    sizes = [len(data.train_labels), len(data.val_labels), len(test.labels)]
    assert sum(sizes) == 1797
    assert [round(size / 1797, 2) for size in sizes] == [0.64, 0.16, 0.2]
    for labels in (data.train_labels, data.val_labels, test.labels):
        counts = np.bincount(labels, minlength=10)
        assert counts.max() - counts.min() <= 8
    parts = [rows(data.train_images), rows(data.val_images), rows(test.images)]
    assert len(set.union(*parts)) == sum(map(len, parts))


def test_digits_are_grey_and_span_the_full_range():
    data = load_search_data("digits")
    assert data.image_size == (8, 8)
    assert data.train_images.dtype == np.uint8
    assert (data.train_images.min(), data.train_images.max()) == (0, 255)
    assert (data.train_images == data.train_images[..., :1]).all()
    assert 8 / 16 * 255 not in data.train_images  # rounded: 127.5 becomes 128
    assert 128 in data.train_images


def test_digits_are_fixed_read_only_and_resizable():
    data = load_search_data("digits")
    assert load_search_data("digits").fingerprint == data.fingerprint
    for array in (data.train_images, data.train_labels, load_test_data("digits").images):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    larger = load_search_data("digits", image_size=16)
    assert larger.image_size == (16, 16)
    assert larger.train_labels.tolist() == data.train_labels.tolist()
    assert load_test_data("digits", image_size=16).images.shape[1:] == (16, 16, 3)


@pytest.mark.parametrize("size", [3, 1025, 0, -1, True, 32.0, "32"])
def test_image_sizes_out_of_range(size):
    for load in (load_search_data, load_test_data):
        with pytest.raises(DataError, match=rf"image size is {size!r}; it must be an integer from 4 to 1024"):
            load("digits", image_size=size)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "cifar",
            r"nor a folder; did you mean 'cifar10'\? \(known: cifar10, cifar100, digits, dogs\)",
        ),
        ("CIFAR10", "did you mean 'cifar10'"),
        ("", "neither a known data set nor a folder"),
        ("xyzzy", "known: cifar10, cifar100, digits, dogs, or give the path of a folder"),
        ("no/such/folder", "data folder 'no/such/folder' does not exist; check the path"),
        ("~nobody-of-this-name/x", "does not exist"),
        ("a\0b", r"'a\\x00b' is neither"),
        ("x" * 5000, "neither a known data set"),
        (__file__, "is a file; give a folder"),
    ],
)
def test_unknown_sources(source: str, message: str):
    with pytest.raises(DataError, match=message) as caught:
        load_search_data(source)
    assert "\n" not in str(caught.value)


def test_the_table_of_data_sets(tmp_path):
    assert [(row.name, row.epochs, row.image_size) for row in DATASETS.values()] == [
        ("digits", 20, 8),
        ("cifar10", 8, 32),
        ("cifar100", 8, 32),
        ("dogs", 8, 224),
    ]
    assert all(name == row.name and row.title for name, row in DATASETS.items())
    assert find_dataset(None) is DATASETS["digits"]
    assert find_dataset(str(tmp_path)) is FOLDER
    assert (FOLDER.epochs, FOLDER.image_size) == (8, None)


def test_importing_loads_no_heavy_library():
    code = "import sys, bsconv_nas.data; print({'torch', 'torchvision', 'sklearn', 'scipy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def _image_data(images: np.ndarray) -> ImageData:
    labels = np.arange(len(images)) % 2
    return image_data("x", images, labels, len(images) - 2, ("a", "b"), "0")


def test_statistics_are_those_of_the_training_pixels(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("bsconv_nas.data.images._CHUNK_BYTES", 1000)
    images = np.random.default_rng(0).integers(0, 256, (50, 6, 6, 3), dtype=np.uint8)
    images[..., 1] //= 3
    images[-2:] = 0
    mean, deviation = _image_data(images).statistics()
    pixels = images[:-2].reshape(-1, 3) / 255
    assert mean == pytest.approx(tuple(pixels.mean(axis=0)))
    assert deviation == pytest.approx(tuple(pixels.std(axis=0)))


def test_statistics_of_many_images_use_an_even_sample(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("bsconv_nas.data.images._CHUNK_BYTES", 500)
    monkeypatch.setattr("bsconv_nas.data.images._MAX_STATISTICS_IMAGES", 20)
    images = np.random.default_rng(0).integers(0, 256, (52, 6, 6, 3), dtype=np.uint8)
    mean, _ = _image_data(images).statistics()
    assert mean == pytest.approx(tuple((images[:50:3].reshape(-1, 3) / 255).mean(axis=0)))


def test_statistics_of_one_colour_can_be_divided_by():
    assert _image_data(np.full((4, 2, 2, 3), 51, dtype=np.uint8)).statistics() == ((0.2,) * 3, (1 / 255,) * 3)


def test_properties():
    data = _image_data(np.zeros((6, 5, 7, 3), dtype=np.uint8))
    assert data.image_size == (5, 7)
    assert data.num_classes == 2
    assert data.nbytes == 6 * 5 * 7 * 3 + 6 * 8
    assert "array" not in repr(data)
    with pytest.raises(AttributeError):
        data.name = "y"  # type: ignore[misc]
