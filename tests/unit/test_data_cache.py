import json
import os
from pathlib import Path

import numpy as np
import pytest

from bsconv_nas.data import cache as cache_module
from bsconv_nas.data import load_search_data
from bsconv_nas.data.cache import cache_key, read_entry
from bsconv_nas.errors import DataError
from tests.unit.data_helpers import make_folder, save_image


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "data")


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of the files decoded since the test began."""
    from bsconv_nas.data import decode_all

    paths: list[str] = []
    original = decode_all.decode_image

    def spy(path: str, image_size: int):
        paths.append(path)
        return original(path, image_size)

    monkeypatch.setattr(decode_all, "decode_image", spy)
    return paths


def test_a_second_load_decodes_nothing_and_maps_one_file(root: Path, cache: Path, decoded: list[str]):
    progress: list[tuple[int, int]] = []
    first = load_search_data(str(root), cache_dir=cache, progress=lambda *counts: progress.append(counts))
    assert len(decoded) == 20
    assert progress[-1] == (20, 20)
    second = load_search_data(str(root), cache_dir=cache, progress=lambda *counts: progress.append(counts))
    assert len(decoded) == 20
    assert len(progress) == 1
    assert second.fingerprint == first.fingerprint
    for images in (second.train_images, second.val_images):
        assert isinstance(images, np.memmap)
        assert Path(str(images.filename)) == next(cache.glob("*.npy"))
    assert sorted(path.suffix for path in cache.iterdir()) == [".json", ".npy"]


def test_all_arrays_are_read_only(root: Path, cache: Path):
    data = load_search_data(str(root), cache_dir=cache)
    for array in (data.train_images, data.train_labels, data.val_images, data.val_labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def _touch(root: Path) -> None:
    os.utime(root / "train/cat/000.png", ns=(1, 1))


def _replace(root: Path) -> None:
    save_image(root / "train/cat/000.png", seed=999)


def _add(root: Path) -> None:
    save_image(root / "train/cat/new.png", seed=999)


def _rename(root: Path) -> None:
    (root / "train/cat/000.png").rename(root / "train/cat/zzz.png")


@pytest.mark.parametrize("change", [_touch, _replace, _add, _rename])
def test_changed_files_are_decoded_again(root: Path, cache: Path, decoded: list[str], change):
    load_search_data(str(root), cache_dir=cache)
    change(root)
    decoded.clear()
    load_search_data(str(root), cache_dir=cache)
    assert len(decoded) >= 20


def test_the_fingerprint_is_of_the_content(root: Path, cache: Path, tmp_path: Path):
    def fingerprint(folder: Path = root, size: int | None = None) -> str:
        return load_search_data(str(folder), cache_dir=cache, image_size=size).fingerprint

    first = fingerprint()
    assert len(first) == 16
    assert set(first) <= set("0123456789abcdef")
    assert fingerprint(make_folder(tmp_path / "copy")) == first
    assert fingerprint(size=16) != first
    _touch(root)
    assert fingerprint() == first
    _replace(root)
    second = fingerprint()
    assert second != first
    (root / "train/cat").rename(root / "train/cow")
    assert fingerprint() not in (first, second)


def test_other_folders_have_other_keys(tmp_path: Path):
    files = [("a/1.bmp", 100, 5)]
    keys = {
        cache_key(tmp_path / "a", files, 32),
        cache_key(tmp_path / "b", files, 32),
        cache_key(tmp_path / "a", files, 33),
        cache_key(tmp_path / "a", [("a/1.bmp", 100, 6)], 32),
        cache_key(tmp_path / "a", [("a/1.bmp", 101, 5)], 32),
        cache_key(tmp_path / "a", [("a/\udcff.bmp", 100, 5)], 32),
    }
    assert len(keys) == 6
    assert cache_key(tmp_path / "b" / ".." / "a", files, 32) in keys


def _truncate(cache: Path) -> None:
    path = next(cache.glob("*.npy"))
    path.write_bytes(path.read_bytes()[:-1])


def _empty_array(cache: Path) -> None:
    next(cache.glob("*.npy")).write_bytes(b"")


def _other_shape(cache: Path) -> None:
    np.save(next(cache.glob("*.npy")), np.zeros((3, 32, 32, 3), dtype=np.uint8))


def _other_type(cache: Path) -> None:
    np.save(next(cache.glob("*.npy")), np.zeros((20, 32, 32, 3), dtype=np.float32))


def _no_json(cache: Path) -> None:
    next(cache.glob("*.json")).unlink()


def _broken_json(cache: Path) -> None:
    next(cache.glob("*.json")).write_text("{")


def _wrong_json(cache: Path) -> None:
    next(cache.glob("*.json")).write_text(json.dumps(["shape"]))


@pytest.mark.parametrize(
    "damage", [_truncate, _empty_array, _other_shape, _other_type, _no_json, _broken_json, _wrong_json]
)
def test_a_damaged_entry_is_made_again(root: Path, cache: Path, decoded: list[str], damage):
    fingerprint = load_search_data(str(root), cache_dir=cache).fingerprint
    damage(cache)
    decoded.clear()
    assert load_search_data(str(root), cache_dir=cache).fingerprint == fingerprint
    assert len(decoded) == 20


def test_refused_images_are_remembered_and_looked_at_again(root: Path, cache: Path, decoded: list[str]):
    bad = root / "train" / "cat" / "001.png"
    content = bad.read_bytes()
    bad.write_bytes(b"x" * len(content))
    status = bad.stat()
    with pytest.raises(DataError, match="1 of 20 images cannot be read"):
        load_search_data(str(root), cache_dir=cache)
    decoded.clear()
    assert load_search_data(str(root), cache_dir=cache, skip_bad_images=True).skipped == 1
    assert decoded == [str(bad)]
    # Readable again with the same size and time, as after a change of rights.
    bad.write_bytes(content)
    os.utime(bad, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert load_search_data(str(root), cache_dir=cache).skipped == 0


def test_an_unreadable_entry_is_none(tmp_path: Path):
    assert read_entry(tmp_path, "0" * 32) is None
    assert read_entry(tmp_path / "missing", "0" * 32) is None


def test_the_default_cache_folder(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    load_search_data(str(root))
    assert len(list((tmp_path / "xdg" / "bsconv-nas" / "images").glob("*.npy"))) == 1
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # to be ignored
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    load_search_data(str(root))
    assert len(list((tmp_path / "home" / ".cache" / "bsconv-nas" / "images").glob("*.npy"))) == 1
    assert cache_module.FORMAT_VERSION == 1
