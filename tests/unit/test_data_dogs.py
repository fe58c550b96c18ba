import builtins
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bsconv_nas.data import DATASETS, load_search_data, load_test_data
from bsconv_nas.data.decode import decode_image
from bsconv_nas.data.dogs import FOLDER_NAME, StanfordDogs
from bsconv_nas.data.dogs_files import ARCHIVES, COUNTS
from bsconv_nas.errors import DataError
from tests.unit.data_helpers import rows, save_image
from tests.unit.dogs_helpers import BREEDS, TEST, TRAIN, make_dogs, names_of, save_list, use_counts


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    use_counts(monkeypatch)
    return make_dogs(tmp_path / "data" / FOLDER_NAME)


@pytest.fixture
def folders(root: Path, tmp_path: Path) -> dict[str, Path]:
    return {"data_dir": root.parent, "cache_dir": tmp_path / "cache"}


def _pixels(root: Path, train: bool, size: int) -> dict[bytes, str]:
    return {decode_image(str(root / "Images" / name), size).tobytes(): name.split("/")[0] for name in names_of(train)}


def test_the_row_and_the_published_archives():
    assert DATASETS["dogs"].image_size == 224
    assert COUNTS == (12_000, 8_580, 120)
    remotes = {archive.remote.name: archive.remote for archive in ARCHIVES}
    assert set(remotes) == {"images.tar", "lists.tar"}
    assert all(r.url.startswith("https://vision.stanford.edu/aditya86/ImageNetDogs/") for r in remotes.values())
    assert remotes["images.tar"].md5 == "1bb1f2a596ae7057f99d7d75860002ef"
    assert remotes["lists.tar"].md5 == "edbb9f16854ec66506b5f09b583e0656"


def test_the_parts_are_those_of_the_lists(root: Path, folders: dict[str, Path]):
    data = load_search_data("dogs", image_size=12, **folders)
    test = load_test_data("dogs", image_size=12, **folders)
    assert data.classes == test.classes == BREEDS
    assert (len(data.train_images), len(data.val_images), len(test.images)) == (3 * (TRAIN - 1), 3, 3 * TEST)
    assert np.bincount(data.val_labels).tolist() == [1, 1, 1]
    assert not rows(data.train_images) & rows(data.val_images)
    train_pixels, test_pixels = _pixels(root, True, 12), _pixels(root, False, 12)
    assert rows(data.train_images) | rows(data.val_images) == set(train_pixels)
    assert rows(test.images) == set(test_pixels)
    assert not set(train_pixels) & set(test_pixels)
    breed_of = train_pixels | test_pixels
    for images, labels in (
        (data.train_images, data.train_labels),
        (data.val_images, data.val_labels),
        (test.images, test.labels),
    ):
        assert [breed_of[image.tobytes()] for image in images] == [BREEDS[label] for label in labels]
        assert not labels.flags.writeable


def test_the_default_size_and_the_cache(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch):
    first = load_search_data("dogs", **folders)
    assert first.image_size == (224, 224)
    assert first.name == "dogs"
    monkeypatch.setattr("bsconv_nas.data.rows.decode_all", lambda paths, *rest: {} if not paths else 1 / 0)
    second = load_search_data("dogs", **folders)
    assert isinstance(second.train_images, np.memmap)
    assert second.train_images.dtype == np.uint8
    assert second.fingerprint == first.fingerprint


def test_search_never_opens_the_test_part(root: Path, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch):
    touched: list[str] = []
    for module, name in ((os, "scandir"), (os, "listdir"), (os, "open"), (os, "stat"), (builtins, "open")):
        original = getattr(module, name)

        def spy(path, *args, _original=original, **options):
            touched.append(str(path))
            return _original(path, *args, **options)

        monkeypatch.setattr(module, name, spy)
    load_search_data("dogs", **folders)
    tests = [str(root / "Images" / name) for name in names_of(False)]
    assert set(touched) >= {str(root / "Images" / name) for name in names_of(True)}
    assert str(root / "train_list.mat") in touched
    assert not set(touched) & {*tests, str(root / "test_list.mat"), str(root / "file_list.mat")}


def test_search_needs_no_test_part(root: Path, folders: dict[str, Path]):
    for name in names_of(False):
        (root / "Images" / name).unlink()
    (root / "test_list.mat").unlink()
    (root / "file_list.mat").unlink()
    assert load_search_data("dogs", **folders).num_classes == 3
    with pytest.raises(DataError, match=r"Stanford Dogs has no test_list\.mat in .*; add --download"):
        load_test_data("dogs", **folders)


def test_missing_files(tmp_path: Path):
    for load in (load_search_data, load_test_data):
        with pytest.raises(DataError, match=r"has no Images, train_list\.mat.* in '.*'; add --download to fetch it"):
            load("dogs", data_dir=tmp_path / "none", cache_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_images_that_are_missing_are_not_skipped(root: Path, folders: dict[str, Path]):
    """As after an extraction by other tools that was cut short."""
    (root / "Images" / names_of(True)[0]).unlink()
    with pytest.raises(DataError, match=r"1 of 15 images are missing in .*Chihuahua/n02085620_4\.jpg; remove its"):
        load_search_data("dogs", skip_bad_images=True, **folders)
    load_test_data("dogs", **folders)


def test_damaged_images_can_be_skipped(root: Path, folders: dict[str, Path]):
    (root / "Images" / names_of(True)[0]).write_bytes(b"broken")
    with pytest.raises(DataError, match="1 of 15 images cannot be read"):
        load_search_data("dogs", **folders)
    assert load_search_data("dogs", skip_bad_images=True, **folders).skipped == 1


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (names_of(True)[1:], "14 different images instead of 15"),
        ([*names_of(True), f"{BREEDS[0]}/x.jpg"], "16 different images instead of 15"),
        ([names_of(True)[1], *names_of(True)[1:]], "14 different images instead of 15"),
        (["n1-Pug/x.jpg", *names_of(True)[1:]], "4 breeds instead of 3"),
        (["../x.jpg", *names_of(True)[1:]], r"names that are not <breed>/<file>: \.\./x\.jpg"),
        (["/x.jpg", *names_of(True)[1:]], "names that are not <breed>/<file>: /x.jpg"),
        (["a/b/x.jpg", *names_of(True)[1:]], "names that are not <breed>/<file>: a/b/x.jpg"),
    ],
)
def test_a_train_list_that_is_another(root: Path, folders: dict[str, Path], names: list[str], message: str):
    save_list(root / "train_list.mat", names)
    for load in (load_search_data, load_test_data):
        with pytest.raises(DataError, match=rf"train_list\.mat' has {message}.*not the published list; remove it and"):
            load("dogs", **folders)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (names_of(False)[1:], "8 different images instead of 9"),
        ([names_of(True)[0], *names_of(False)[1:]], r"images that are in train_list\.mat too: n02085620-C"),
        (["n1-Pug/x.jpg", *names_of(False)[1:]], r"breeds that are not in train_list\.mat: n1-Pug"),
    ],
)
def test_a_test_list_that_is_another(root: Path, folders: dict[str, Path], names: list[str], message: str):
    save_list(root / "test_list.mat", names)
    load_search_data("dogs", **folders)
    with pytest.raises(DataError, match=message):
        load_test_data("dogs", **folders)


@pytest.mark.parametrize("content", [b"", b"damaged" * 50, None])
def test_a_list_that_cannot_be_read(root: Path, folders: dict[str, Path], content: bytes | None):
    path = root / "train_list.mat"
    path.write_bytes(path.read_bytes()[:900] if content is None else content)
    with pytest.raises(DataError, match=r"train_list\.mat' has no readable file_list") as caught:
        load_search_data("dogs", **folders)
    assert "\n" not in str(caught.value)


def test_the_package_loads_neither_torch_nor_scipy():
    code = "import sys, bsconv_nas.data.dogs; print({'torch', 'torchvision', 'sklearn', 'scipy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_the_torchvision_class(root: Path):
    for train in (True, False):
        dogs = StanfordDogs(str(root), train=train)
        assert len(dogs) == len(dogs.targets) == len(names_of(train))
        assert dogs.image_filenames == tuple(str(root / "Images" / name) for name in names_of(train))
        assert dogs.classes == BREEDS
        assert dogs.unique_class_names == ("n02085620", "n02085782", "n02085936")
        assert [dogs.classes[target] for target in dogs.targets] == [name.split("/")[0] for name in names_of(train)]
        image, target = dogs[4]
        assert np.array_equal(np.asarray(image), np.asarray(Image.open(dogs.image_filenames[4])))
        assert target == dogs.targets[4]
        assert f"Split: {'train' if train else 'test'}" in repr(dogs)


def _open(path: str) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def test_transforms_of_the_torchvision_class(root: Path):
    joint = StanfordDogs(root, transforms=lambda image, target: (image.size, target + 10))
    assert joint[0] == ((20, 16), joint.targets[0] + 10)
    apart = StanfordDogs(root, transform=lambda image: image.mode, target_transform=str, loader=_open)
    assert apart[2] == ("RGB", str(apart.targets[2]))
    assert StanfordDogs(root, loader=os.path.basename)[0] == ("n02085620_4.jpg", 0)
    for single in ({"transform": str}, {"target_transform": str}):
        with pytest.raises(ValueError, match="Only transforms or transform/target_transform"):
            StanfordDogs(root, transforms=lambda image, target: (image, target), **single)


def test_grey_and_transparent_images_become_rgb(root: Path):
    path = root / "Images" / names_of(True)[0]
    save_image(path.with_suffix(".png"))
    Image.open(path.with_suffix(".png")).convert("RGBA").save(path, format="PNG")  # as one of the real files is
    assert StanfordDogs(root)[0][0].mode == "RGB"


def test_an_unknown_name_of_the_module():
    from bsconv_nas.data import dogs

    with pytest.raises(AttributeError, match="has no attribute 'StanfordCats'"):
        _ = dogs.StanfordCats


@pytest.mark.long
def test_bsconv_reads_the_same_from_lists_of_the_real_length(tmp_path: Path):
    """The library that this class stands in for; it wants 12 000 and 8 580 images and opens none of them."""
    original = pytest.importorskip("bsconv.datasets").StanfordDogs
    breeds = [f"n{2_085_620 + 7 * number:08d}-Breed_{number}" for number in range(120)]
    names = [f"{breed}/{breed[:9]}_{number}.jpg" for breed in breeds for number in range(172)][: 12_000 + 8_580]
    shuffled = [names[row] for row in np.random.default_rng(0).permutation(len(names))]
    for part, part_names in (("train", shuffled[:12_000]), ("test", shuffled[12_000:]), ("file", names)):
        save_list(tmp_path / f"{part}_list.mat", part_names)
    for breed in breeds:
        (tmp_path / "Images" / breed).mkdir(parents=True)
    for name in names:
        os.close(os.open(tmp_path / "Images" / name, os.O_CREAT))
    for train in (True, False):
        ours, theirs = StanfordDogs(tmp_path, train=train), original(str(tmp_path), train=train)
        assert ours.image_filenames == theirs.image_filenames
        assert ours.targets == theirs.targets
        assert ours.unique_class_names == theirs.unique_class_names
