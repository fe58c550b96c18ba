"""Settings, study.toml and recipes."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from bsconv_nas.base.limits import Limits
from bsconv_nas.data import ImageData
from bsconv_nas.errors import StorageError, UsageError
from bsconv_nas.plan import check_name, default_name, make_plan, resources
from bsconv_nas.study.settings import (
    SearchSettings,
    StudyFile,
    find_recipe,
    provenance,
    read_study_file,
    recipe_names,
)

FULL = SearchSettings(
    data="digits",
    image_size=8,
    space="quick",
    limits={"macs": 1.5e6, "params": 20_000},
    trials=7,
    time="1h30m",
    epochs=3,
    workers=2,
    cpus_per_trial=0.5,
    gpus_per_trial=0,
    sampler="nsga2",
    seed=11,
    skip_bad_images=True,
)


class _ImagesRead(Exception):  # noqa: N818
    """Everything before the reading of images went well."""


def _no_images(settings: SearchSettings) -> ImageData:
    raise _ImagesRead


def test_a_study_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = StudyFile(
        schema_version=1,
        title='with "quotes"\nand lines',
        name="a",
        storage="sqlite:///x.db",
        settings=FULL,
        resolved={"classes": ["ä", "b"], "image_size": [8, 8], "training": {"learning_rate": 0.1}},
        provenance=provenance(),
    )
    file.write(tmp_path / "new")
    assert read_study_file(tmp_path / "new") == file
    assert find_recipe(str(tmp_path / "new")) == FULL
    assert find_recipe(str(tmp_path / "new" / "study.toml")) == FULL


def test_provenance_names_versions_and_hardware() -> None:
    found = provenance()
    assert found["processor"]
    assert {"torch", "optuna", "numpy"} <= found["versions"].keys()


def test_a_study_file_in_an_unwritable_place_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot write .*study\.toml"):
        StudyFile(schema_version=1, settings=FULL).write(tmp_path / "file")


@pytest.mark.parametrize("name", recipe_names())
def test_packaged_recipes_are_valid(name: str) -> None:
    with pytest.raises(_ImagesRead):
        make_plan(find_recipe(name).model_copy(update={"data": None, "workers": 1}), _no_images)


def test_a_wheel_carries_what_starts_each_study_and_not_its_results() -> None:
    root = Path(__file__).parents[2]
    build = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    carried = {name for name in build["targets"]["wheel"]["force-include"] if name.startswith("studies")}
    assert carried == {str(path.relative_to(root)) for path in root.glob("studies/*/study.toml")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("schema_version = 1", "lacks 'settings'"),
        ("schema_version = 2\n[settings]", "schema_version is 2"),
        ("schema_version = 1\n[settings]\nlimit = {macs = 5}", "unknown key 'settings.limit'; did you mean 'limits'"),
        ("schema_version = 1\n[settings]\nlimits = {macs = 0}", "settings.limits.macs is 0"),
        ("schema_version = 1\n[settings]\ntrials = 0", "settings.trials is 0"),
        ("schema_version = 1\n[settings]\ntrials = '5'", "settings.trials is '5'"),
        ("schema_version = 1\n[settings]\nseed = -1", "settings.seed is -1"),
        ("schema_version = 1\n[setings]", "unknown key 'setings'; did you mean 'settings'"),
        ("not toml", "is not TOML"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        find_recipe(str(path))
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["no-such", "missing.toml", "/nowhere/at.toml"])
def test_missing_recipes_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"unknown recipe 'no-such'|cannot read .*No such file"):
        find_recipe(name)


@pytest.mark.parametrize(
    ("bounds", "name"),
    [
        ({}, "digits-quick"),
        ({"macs": 300e6}, "digits-quick-300M"),
        ({"macs": 15e6}, "digits-quick-15M"),
        ({"macs": 1.05e6}, "digits-quick-1.05M"),
        ({"macs": 1e6}, "digits-quick-1M"),
        ({"macs": 100e3, "params": 20_050}, "digits-quick-100k-params20.1k"),
    ],
)
def test_default_names_tell_data_space_and_budget(bounds: dict[str, float], name: str) -> None:
    assert default_name("digits", "quick", Limits(bounds)) == name


@pytest.mark.parametrize("data", ["/a/b c/ä", "../../x", "d" * 300, "/" + "long/" * 60, ".", "ß"])
def test_default_names_are_folder_names_for_any_data(data: str) -> None:
    check_name(default_name(data, "quick", Limits({"macs": 1e6})))


@pytest.mark.parametrize("name", ["../x", "", "a/b", ".hidden", "-x", "x" * 101, "a b", "a\n"])
def test_names_that_are_no_folder_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="is not a study name; allowed: letters"):
        make_plan(SearchSettings(), _no_images, name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sampler": "tpa"}, "unknown sampler 'tpa'; did you mean 'tpe'"),
        ({"space": "quik"}, "unknown search space 'quik'; did you mean 'quick'"),
        ({"time": "1 year"}, "--time '1 year' is not a duration"),
        ({"gpus_per_trial": 64.0}, "--gpus-per-trial is 64, but this machine has"),
        ({"cpus_per_trial": 4096.0}, "--cpus-per-trial is 4096, but there are"),
        ({"data": "digit"}, "did you mean 'digits'"),
        ({"epoch_timeout": "5m", "workers": 0}, "--epoch-timeout needs workers"),
        ({"grace_period": 2}, "has no grace period"),
        ({"sampler": "tpe", "top1_floor": 0.5}, "sampler tpe has no top1_floor"),
    ],
)
def test_settings_are_checked_before_images_are_read(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_plan(SearchSettings(**changes), _no_images)
    assert message in str(caught.value)


def test_nothing_is_assumed_of_a_cluster() -> None:
    found = resources(SearchSettings(ray_address="auto", gpus_per_trial=64.0, cpus_per_trial=4096.0, workers=9))
    assert (found.workers, found.gpus_per_trial, found.device) == (9, 64.0, "cuda")


def test_workers_default_to_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setattr("bsconv_nas.plan._gpu_count", lambda: 0)
    assert resources(SearchSettings(cpus_per_trial=3.0)).workers == 2
    monkeypatch.setattr("bsconv_nas.plan._gpu_count", lambda: 2)
    found = resources(SearchSettings(gpus_per_trial=0.5))
    assert (found.workers, found.device) == (4, "cuda")
    assert resources(SearchSettings()).workers == 2
    assert resources(SearchSettings(gpus_per_trial=0.0)).workers == 8
