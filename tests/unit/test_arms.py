"""The random arm of a study among its neighbours."""

from pathlib import Path
from typing import Any

import pytest

from bsconv_nas.study.arms import random_arm
from bsconv_nas.study.settings import SearchSettings, StudyFile

CONDITIONS = {"space_fingerprint": "s", "data_fingerprint": "d", "image_size": [8, 8], "training": {"epochs": 2}}


def make(directory: Path, name: str, sampler: str, macs: float = 1e6, **changes: Any) -> Path:
    folder = directory / name
    settings = SearchSettings(limits={"macs": macs})
    resolved = {**CONDITIONS, "sampler": sampler, **changes}
    StudyFile(schema_version=1, name=name, settings=settings, resolved=resolved).write(folder)
    return folder


def test_a_random_search_under_the_same_conditions_is_the_arm(tmp_path: Path) -> None:
    study, arm = make(tmp_path, "study", "known-cost"), make(tmp_path, "random", "random")
    make(tmp_path, "tpe", "tpe")
    assert random_arm(study) == arm
    assert random_arm(arm) is None, "a random search needs no other"


@pytest.mark.parametrize("change", [{"macs": 2e6}, {"data_fingerprint": "e"}, {"training": {"epochs": 3}}])
def test_other_conditions_make_no_arm(tmp_path: Path, change: dict[str, Any]) -> None:
    study = make(tmp_path, "study", "known-cost")
    make(tmp_path, "random", "random", **change)
    assert random_arm(study) is None


def test_a_damaged_neighbour_is_passed_over(tmp_path: Path) -> None:
    study, arm = make(tmp_path, "study", "known-cost"), make(tmp_path, "random", "random")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "study.toml").write_text("schema_version = [")
    assert random_arm(study) == arm
