import builtins
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bsconv_nas.data import load_search_data, load_test_data
from bsconv_nas.errors import DataError
from tests.unit.data_helpers import make_folder, rows, save_class, save_image


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


def _pixels(folder: Path) -> set[bytes]:
    return {np.asarray(Image.open(path)).tobytes() for path in folder.rglob("*.png")}


def test_train_and_test_folders(root: Path, cache: Path):
    make_folder(root)
    data = load_search_data(str(root), cache_dir=cache)
    assert (data.train_images.shape, data.val_images.shape) == ((16, 32, 32, 3), (4, 32, 32, 3))
    assert data.classes == ("cat", "dog")
    assert np.bincount(data.val_labels).tolist() == [2, 2]
    assert rows(data.train_images) | rows(data.val_images) == _pixels(root / "train")
    test = load_test_data(str(root), cache_dir=cache)
    assert rows(test.images) == _pixels(root / "test")
    assert test.classes == data.classes


def test_labels_belong_to_their_images(root: Path, cache: Path):
    make_folder(root)
    data = load_search_data(str(root), cache_dir=cache)
    cats = _pixels(root / "train" / "cat")
    for images, labels in ((data.train_images, data.train_labels), (data.val_images, data.val_labels)):
        for image, label in zip(images, labels, strict=True):
            assert (image.tobytes() in cats) == (data.classes[label] == "cat")


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Val"])
def test_val_without_test_is_the_test_part(root: Path, cache: Path, name: str):
    make_folder(root, ("train", name))
    data = load_search_data(str(root), cache_dir=cache)
    assert rows(data.train_images) | rows(data.val_images) == _pixels(root / "train")
    assert rows(load_test_data(str(root), cache_dir=cache).images) == _pixels(root / name)


def test_val_beside_test_is_the_validation_part(root: Path, cache: Path):
    make_folder(root, ("train", "val", "test"))
    data = load_search_data(str(root), cache_dir=cache)
    assert rows(data.train_images) == _pixels(root / "train")
    assert rows(data.val_images) == _pixels(root / "val")
    assert rows(load_test_data(str(root), cache_dir=cache).images) == _pixels(root / "test")


@pytest.mark.parametrize("part", [".", "train"])
def test_a_single_folder_is_split_in_three_disjoint_parts(root: Path, cache: Path, part: str):
    make_folder(root, (part,), count=20)
    data = load_search_data(str(root), cache_dir=cache)
    test = load_test_data(str(root), cache_dir=cache)
    parts = [rows(data.train_images), rows(data.val_images), rows(test.images)]
    assert list(map(len, parts)) == [26, 6, 8]
    assert len(set.union(*parts)) == 40
    for labels, count in ((data.train_labels, 13), (data.val_labels, 3), (test.labels, 4)):
        assert np.bincount(labels).tolist() == [count, count]


def test_a_class_named_train_is_a_class(root: Path, cache: Path):
    for name in ("train", "plane"):
        save_class(root / name, 4)
    assert load_search_data(str(root), cache_dir=cache).classes == ("plane", "train")


@pytest.mark.parametrize("layout", [("train", "test"), ("train", "val"), ("train", "val", "test")])
def test_search_never_lists_or_opens_the_test_part(
    root: Path, cache: Path, layout: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
):
    make_folder(root, layout)
    touched: list[str] = []
    for module, name in ((os, "scandir"), (os, "listdir"), (os, "open"), (builtins, "open")):
        original = getattr(module, name)

        def spy(path, *args, _original=original, **options):
            touched.append(str(path))
            return _original(path, *args, **options)

        monkeypatch.setattr(module, name, spy)
    load_search_data(str(root), cache_dir=cache)
    assert any(f"{root}/train/cat" in path for path in touched)
    assert not [path for path in touched if f"{root}/{layout[-1]}" in path]


def test_search_works_whatever_the_test_part_holds(root: Path, cache: Path):
    make_folder(root)
    (root / "test" / "cat" / "bad.png").write_bytes(b"bad")
    (root / "test" / "horse").mkdir()
    load_search_data(str(root), cache_dir=cache)
    with pytest.raises(DataError, match=r"class folder horse in 'test' .* is not in 'train'"):
        load_test_data(str(root), cache_dir=cache)
    (root / "test" / "horse").rmdir()
    with pytest.raises(DataError, match=r"1 of 21 images cannot be read .*test/cat/bad\.png"):
        load_test_data(str(root), cache_dir=cache)
    assert load_test_data(str(root), cache_dir=cache, skip_bad_images=True).skipped == 1


def test_search_does_not_open_test_images_of_a_single_folder(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch):
    make_folder(root, (".",))
    test = rows(load_test_data(str(root), cache_dir=cache).images)
    test_files = [path for path in root.rglob("*.png") if np.asarray(Image.open(path)).tobytes() in test]
    assert len(test_files) == 4
    for path in test_files:
        path.write_bytes(b"broken")
    load_search_data(str(root), cache_dir=cache)


def test_the_test_part_may_lack_a_class(root: Path, cache: Path, caplog: pytest.LogCaptureFixture):
    make_folder(root, ("train",))
    save_class(root / "test" / "dog", 3)
    test = load_test_data(str(root), cache_dir=cache)
    assert test.labels.tolist() == [1, 1, 1]
    assert "no images of class cat" in caplog.text


def test_test_images_take_the_size_of_the_training_images(root: Path, cache: Path):
    make_folder(root, ("train",))
    for name in ("cat", "dog"):
        save_image(root / "test" / name / "a.png", size=(100, 80))
    assert load_test_data(str(root), cache_dir=cache).images.shape == (2, 32, 32, 3)


def test_nested_hidden_and_other_files(root: Path, cache: Path):
    make_folder(root, ("train", "test"))
    save_image(root / "train" / "cat" / "deep" / "er" / "x.PNG", seed=77)
    save_image(root / "train" / "cat" / ".hidden.png", seed=78)
    save_image(root / "train" / "cat" / ".thumbs" / "x.png", seed=79)
    save_image(root / "train" / ".cache" / "x.png", seed=80)
    (root / "train" / "cat" / "notes.txt").write_text("no image")
    (root / "train" / "README").write_text("no image")
    data = load_search_data(str(root), cache_dir=cache)
    assert len(data.train_images) + len(data.val_images) == 21
    assert data.classes == ("cat", "dog")


def test_names_that_are_not_ascii(root: Path, cache: Path):
    for label, name in enumerate(("猫 🐈", "chien ö")):
        for number in range(5):
            save_image(root / name / f"é{number}\n.png", seed=10 * label + number)
    raw = os.path.join(os.fsencode(root), b"\xff\xfe")
    os.rename(root / "chien ö", raw)
    data = load_search_data(str(root), cache_dir=cache)
    assert data.classes == ("猫 🐈", "\\udcff\\udcfe")
    again = load_search_data(str(root), cache_dir=cache)
    assert again.fingerprint == data.fingerprint


def test_links_are_followed_and_loops_end(root: Path, cache: Path, tmp_path: Path):
    make_folder(root, ("train", "test"))
    save_class(tmp_path / "elsewhere", 3, first_seed=500)
    (root / "train" / "horse").symlink_to(tmp_path / "elsewhere")
    (root / "train" / "cat" / "up").symlink_to(root)
    (root / "train" / "cat" / "self").symlink_to(root / "train" / "cat" / "self")
    (tmp_path / "elsewhere" / "again").symlink_to(tmp_path / "elsewhere")
    data = load_search_data(str(root), cache_dir=cache)
    assert np.bincount(np.concatenate([data.train_labels, data.val_labels])).tolist() == [10, 10, 3]


def test_folders_that_link_to_each_other_do_not_multiply(root: Path, cache: Path):
    make_folder(root, ("train", "test"), count=3)
    names = [f"f{number}" for number in range(12)]  # 12! ways through them
    for name in names:
        (root / "train" / "cat" / name).mkdir()
        for other in names:
            (root / "train" / "cat" / name / f"to-{other}").symlink_to(root / "train" / "cat" / other)
    save_image(root / "train" / "cat" / "f3" / "x.png", seed=70)
    data = load_search_data(str(root), cache_dir=cache)
    assert np.bincount(np.concatenate([data.train_labels, data.val_labels])).tolist() == [4, 3]


def test_folders_may_be_deeper_than_a_stack(root: Path, cache: Path):
    make_folder(root, ("train", "test"), count=3)
    deep = root / "train" / "cat"
    try:
        for _ in range(15):
            deep /= "/".join("d" * 100)
            deep.mkdir(parents=True)
        save_image(deep / "x.png", seed=70)
        data = load_search_data(str(root), cache_dir=cache)
    finally:  # too deep for Python's own `rmtree`, which cleans up after tests
        subprocess.run(["rm", "-rf", root], check=True)
    assert len(data.train_labels) + len(data.val_labels) == 7


def test_a_path_longer_than_the_system_allows_is_an_error(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch):
    make_folder(root)
    monkeypatch.chdir(root / "train" / "cat")
    for _ in range(17):
        os.mkdir("d" * 250)
        monkeypatch.chdir("d" * 250)
    monkeypatch.undo()
    with pytest.raises(DataError, match=r"cannot read the image folder .*: File name too long"):
        load_search_data(str(root), cache_dir=cache)


def test_the_longest_names_that_there_are(root: Path, cache: Path):
    make_folder(root)
    name = "\u00e9" * 127  # 254 bytes of the 255 that file systems allow
    (root / "train" / "cat").rename(root / "train" / name)
    (root / "test" / "cat").rename(root / "test" / name)
    save_image(root / "train" / name / ("n" * 251 + ".png"), seed=70)
    data = load_search_data(str(root), cache_dir=cache)
    assert data.classes == ("dog", name)
    assert len(data.train_labels) + len(data.val_labels) == 21
    assert load_test_data(str(root), cache_dir=cache).classes == data.classes


def test_a_thousand_classes(root: Path, cache: Path):
    save_image(root.with_name("one.png"), size=(8, 8))
    content = root.with_name("one.png").read_bytes()
    for number in range(1000):
        for part, count in (("train", 2), ("test", 1)):
            folder = root / part / f"n{number:08d}"
            folder.mkdir(parents=True)
            for image in range(count):
                (folder / f"{image}.png").write_bytes(content)
    data = load_search_data(str(root), cache_dir=cache, image_size=8)
    assert len(data.classes) == 1000
    for labels in (data.train_labels, data.val_labels, load_test_data(str(root), cache_dir=cache, image_size=8).labels):
        assert sorted(labels) == list(range(1000))


def test_what_is_no_regular_file_is_never_opened(root: Path, cache: Path):
    make_folder(root)
    os.mkfifo(root / "train" / "cat" / "pipe.png")  # opening it would wait for ever
    (root / "train" / "cat" / "gone.png").symlink_to("nowhere")
    (root / "train" / "cat" / "self.png").symlink_to("self.png")
    with pytest.raises(DataError, match=r"3 of 23 images .*cat/gone\.png \(not a regular file\).*pipe\.png"):
        load_search_data(str(root), cache_dir=cache)
    assert load_search_data(str(root), cache_dir=cache, skip_bad_images=True).skipped == 3


def test_the_order_of_the_file_system_does_not_matter(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch):
    make_folder(root)
    expected = load_search_data(str(root), cache_dir=cache)
    original = os.scandir

    class Reversed:
        def __init__(self, path):
            self._inner = original(path)

        def __enter__(self):
            return reversed(list(self._inner))

        def __exit__(self, *error):
            self._inner.close()

    monkeypatch.setattr(os, "scandir", Reversed)
    other = load_search_data(str(root), cache_dir=cache.with_name("other"))
    assert other.fingerprint == expected.fingerprint
    assert (other.val_images == expected.val_images).all()
    assert other.train_labels.tolist() == expected.train_labels.tolist()


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(28, 28)], 28),
        ([(64, 64)], 64),
        ([(65, 65)], 64),
        ([(2, 2)], 32),
        ([(30, 40)], 32),
        ([(100, 120)], 96),
        ([(400, 500)], 224),
        ([(32, 32), (32, 32), (160, 170)], 32),
        ([(64, 64), (170, 200), (500, 180)], 160),
    ],
)
def test_the_default_image_size(root: Path, cache: Path, sizes: list[tuple[int, int]], expected: int):
    for name in ("cat", "dog"):
        for number in range(max(2, len(sizes))):
            save_image(root / "train" / name / f"{number}.png", size=sizes[number % len(sizes)], seed=number)
    (root / "test").mkdir()
    data = load_search_data(str(root), cache_dir=cache)
    assert data.image_size == (expected, expected)
    assert load_search_data(str(root), cache_dir=cache, image_size=12).image_size == (12, 12)
