"""Studies on disk: by name, by path, the latest."""

import os
from pathlib import Path

import pytest

from bsconv_nas.base.limits import Limits
from bsconv_nas.errors import StudyError, UsageError
from bsconv_nas.study import Study
from bsconv_nas.study.locate import find_folder, load_study, study_folders
from bsconv_nas.study.settings import SearchSettings, StudyFile
from bsconv_nas.study.storage import open_storage, sqlite_url
from tests.searches import table_space


def make(directory: Path, name: str, age: float = 0) -> Path:
    folder = directory / name
    StudyFile(schema_version=1, name=name, settings=SearchSettings()).write(folder)
    storage = open_storage(sqlite_url(folder / "study.db"))
    Study.open(storage, name, table_space(), Limits(), 0, {}, folder)
    storage.engine.dispose()  # type: ignore[attr-defined]  # the last reader to go writes once more
    for file in folder.iterdir():
        os.utime(file, (file.stat().st_atime, 1_700_000_000 - age))
    return folder


def test_by_name_path_and_latest(tmp_path: Path) -> None:
    old, new = make(tmp_path, "old", age=100), make(tmp_path, "new")
    assert find_folder("old", tmp_path) == old
    assert find_folder(str(old), tmp_path / "elsewhere") == old
    assert find_folder(None, tmp_path) == new
    assert study_folders(tmp_path) == [new, old]
    assert load_study("old", tmp_path).name == "old"
    assert load_study("old", tmp_path).folder == old


def test_recipes_are_no_studies(tmp_path: Path) -> None:
    StudyFile(schema_version=1, settings=SearchSettings()).write(tmp_path / "recipe")
    assert study_folders(tmp_path) == []
    with pytest.raises(
        StudyError, match=r"has no trials yet; run `bsconv-nas search --config \S*/recipe --study recipe`"
    ):
        load_study("recipe", tmp_path)


@pytest.mark.parametrize("name", ["nwe", "../new", "/", "", "new/study.toml"])
def test_unknown_names_are_refused(tmp_path: Path, name: str) -> None:
    make(tmp_path, "new")
    with pytest.raises(StudyError, match="no study"):
        find_folder(name, tmp_path / "sub" if name == "../new" else tmp_path)


def test_the_nearest_name_is_told(tmp_path: Path) -> None:
    make(tmp_path, "digits-300M")
    with pytest.raises(StudyError, match="did you mean 'digits-300M'"):
        find_folder("digit-300M", tmp_path)


@pytest.mark.parametrize("kind", ["missing", "empty", "file"])
def test_without_studies_the_next_step_is_told(tmp_path: Path, kind: str) -> None:
    place = tmp_path / kind
    place.mkdir() if kind == "empty" else place.write_text("") if kind == "file" else None
    with pytest.raises(StudyError, match=r"no study in .*; start one with `bsconv-nas search`"):
        find_folder(None, place)


def test_a_damaged_study_stands_in_nobodys_way(tmp_path: Path) -> None:
    make(tmp_path, "good")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "study.toml").write_text("{")
    assert {folder.name for folder in study_folders(tmp_path)} == {"good", "bad"}
    assert load_study("good", tmp_path).name == "good"
    with pytest.raises(UsageError, match=r"bad/study\.toml is not TOML"):
        load_study("bad", tmp_path)


def test_the_url_of_another_storage_is_followed(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "other.db")
    StudyFile(schema_version=1, name="n", storage=url, settings=SearchSettings()).write(tmp_path / "folder")
    Study.open(open_storage(url), "n", table_space(), Limits(), 0, {})
    assert load_study("folder", tmp_path).name == "n"
