import logging
import os
from pathlib import Path

import numpy as np
import pytest

from bsconv_nas.data import check_test_part, load_search_data, load_test_data
from bsconv_nas.errors import DataError
from tests.unit.data_helpers import make_folder, rows, save_class, save_image


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_bad_images_are_named_and_can_be_skipped(root: Path, cache: Path, caplog: pytest.LogCaptureFixture):
    make_folder(root, count=15)
    good = load_search_data(str(root), cache_dir=cache)
    for number in range(7):
        (root / "train" / "cat" / f"{number:03d}.png").write_bytes(b"broken")
    with pytest.raises(DataError) as caught:
        load_search_data(str(root), cache_dir=cache)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"7 of 30 images cannot be read in '{root}': train/cat/000.png (not an image")
    assert "train/cat/004.png" in message
    assert "train/cat/005.png" not in message
    assert message.endswith("and 2 more; repair or remove them, or skip them with --skip-bad-images")
    with caplog.at_level(logging.WARNING):
        data = load_search_data(str(root), cache_dir=cache, skip_bad_images=True)
    assert "skipped 7 of 30 images" in caplog.text
    assert data.skipped == 7
    assert np.bincount(np.concatenate([data.train_labels, data.val_labels])).tolist() == [8, 15]
    kept = rows(data.train_images) | rows(data.val_images)
    assert len(kept) == 23
    assert kept < rows(good.train_images) | rows(good.val_images)
    for number in range(7):
        (root / "train" / "cat" / f"{number:03d}.png").unlink()
    without = load_search_data(str(root), cache_dir=cache)
    assert without.fingerprint == data.fingerprint  # as if the bad files had never been there


def test_skipping_too_many_is_refused_with_both_reasons(root: Path, cache: Path):
    make_folder(root, count=3)
    for number in range(2):
        (root / "train" / "cat" / f"{number:03d}.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"class 'cat' has 1; at least 2 are needed.*2 of 6 images cannot be read"):
        load_search_data(str(root), cache_dir=cache, skip_bad_images=True)


@pytest.mark.parametrize("part", ["test", "val"])
def test_a_test_part_without_classes_is_known_before_its_images_are_read(root: Path, cache: Path, part: str):
    make_folder(root, ("train", part))
    check_test_part(str(root))
    for name in ("cat", "dog"):
        (root / part / name).rename(root / f"{part}-{name}")
    save_image(root / part / "000.png")
    for check in (check_test_part, lambda source: load_test_data(source, cache_dir=cache)):
        with pytest.raises(DataError, match=rf"'{part}' of .* has no class folders.*move '{part}' elsewhere"):
            check(str(root))


def test_a_test_class_that_is_not_trained_is_known_before_its_images_are_read(root: Path):
    make_folder(root)
    (root / "test" / "cat" / "000.png").write_bytes(b"bad")  # is not looked at
    check_test_part(str(root))
    (root / "test" / "horse").mkdir()
    with pytest.raises(DataError, match=r"class folder horse in 'test' .* is not in 'train'"):
        check_test_part(str(root))


def test_where_the_test_part_is_split_off_its_classes_are_those_of_the_folder(root: Path):
    make_folder(root, (".",))
    check_test_part(str(root))
    check_test_part("digits")
    with pytest.raises(DataError, match="does not exist"):
        check_test_part(f"{root}/missing")


def test_a_validation_folder_must_have_all_classes(root: Path, cache: Path):
    make_folder(root, ("train", "val", "test"), count=2)
    for path in (root / "val" / "cat").iterdir():
        path.write_bytes(b"broken")
    with pytest.raises(DataError, match="class cat has 0 readable validation images"):
        load_search_data(str(root), cache_dir=cache, skip_bad_images=True)
    for path in (root / "val" / "cat").iterdir():
        path.unlink()
    (root / "val" / "cat").rmdir()
    with pytest.raises(DataError, match=r"'val' of .* lacks class folder cat"):
        load_search_data(str(root), cache_dir=cache)


def _nothing(root: Path) -> None:
    root.mkdir()


def _images_without_classes(root: Path) -> None:
    save_class(root, 3)


def _one_class(root: Path) -> None:
    save_class(root / "cat", 3)


def _empty_class(root: Path) -> None:
    make_folder(root)
    (root / "train" / "horse").mkdir()


def _single_image(root: Path) -> None:
    make_folder(root)
    save_class(root / "train" / "horse", 1)


def _single_image_flat(root: Path) -> None:
    make_folder(root, (".",))
    save_class(root / "horse", 1)


def _no_train(root: Path) -> None:
    make_folder(root, ("test", "val"))


def _two_validations(root: Path) -> None:
    make_folder(root, ("train", "val", "valid"))


def _empty_train(root: Path) -> None:
    make_folder(root, ("test",))
    (root / "train").mkdir()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (_nothing, "no class folders in .*put the images of each class in a folder of its own"),
        (_images_without_classes, "no class folders in"),
        (_one_class, r"only one class folder \(cat\) in .*at least 2"),
        (_empty_class, "no images in class folder horse of .*add images"),
        (_single_image, "class 'horse' has 1; at least 2 are needed"),
        (_single_image_flat, "class 'horse' has 1; at least 2 are needed"),
        (_no_train, "has test, val but no folder 'train'"),
        (_two_validations, "has val, valid, which all mean 'val'; keep one"),
        (_empty_train, "no class folders in .*train"),
    ],
)
def test_folders_that_cannot_be_used(root: Path, cache: Path, build, message: str):
    build(root)
    with pytest.raises(DataError, match=message):
        load_search_data(str(root), cache_dir=cache)


def test_tiny_classes_leave_no_test_part(root: Path, cache: Path):
    make_folder(root, (".",), count=2)
    assert len(load_search_data(str(root), cache_dir=cache).train_images) == 2
    with pytest.raises(DataError, match="the test part has 0 readable images"):
        load_test_data(str(root), cache_dir=cache)


def test_a_folder_without_rights(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch):
    make_folder(root)
    original = os.scandir

    def refuse(path):
        if str(path).endswith("dog"):
            raise PermissionError(13, "Permission denied")
        return original(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=r"cannot read the image folder '.*train/dog': Permission denied"):
        load_search_data(str(root), cache_dir=cache)
