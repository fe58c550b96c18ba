"""What the command line refuses: exit codes, one line on stderr, nothing lost."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command_line import ROOT, TINY, Called, assert_refused, images, run


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--flops", "300Q"], ["--flops '300Q'", "300M"]),
        (["--flops", "0"], ["--flops '0' must be at least 1"]),
        (["--flops", "-5M"], ["-5M"]),
        (["--flops", "1k"], ["its cheapest network (", "allow macs at least 31136"]),
        (["--params", "many"], ["--params 'many'"]),
        (["--limit", "nonsense"], ["--limit 'nonsense' is not COST=AMOUNT"]),
        (["--limit", "latency=5"], ["unknown cost 'latency'", "macs"]),
        (["--limit", "macs=much"], ["--limit macs 'much'"]),
        (["--sampler", "annealing"], ["unknown sampler 'annealing'", "tpe"]),
        (["--space", "quik"], ["unknown search space 'quik'; did you mean 'quick'"]),
        (["--space", "missing.toml"], ["cannot read missing.toml"]),
        (["--config", "no-such"], ["unknown recipe 'no-such'"]),
        (["--study", "../x"], ["--study '../x' is not a study name"]),
        (["--time", "soon"], ["--time 'soon'", "1h30m"]),
        (["--trials", "0"], ["trials is 0"]),
        (["--trials", "few"], ["--trials", "bsconv-nas search -h"]),
        (["--trails", "3"], ["--trails", "--trials"]),
        (["--epochs", "0"], ["epochs is 0"]),
        (["--seed", "-1"], ["seed is -1"]),
        (["--workers", "-1"], ["workers is -1"]),
        (["--image-size", "3"], ["image size is 3"]),
        (["--gpus-per-trial", "64"], ["--gpus-per-trial is 64, but this machine has"]),
        (["--cpus-per-trial", "4096"], ["--cpus-per-trial is 4096"]),
        (["--storage", "study.db"], ["'study.db' is not a database URL"]),
        (["--storage", "sqlite:////proc/study.db"], ["cannot open storage", "unable to open"]),
        (["--data", "missing/folder"], ["missing/folder", "does not exist"]),
        (["--data", "digit"], ["did you mean 'digits'"]),
        (["--dir", "/proc/studies"], ["cannot write to /proc/studies"]),
    ],
)
def test_bad_options_of_search(
    arguments: list[str], words: list[str], call: Callable[..., Called], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_refused(call("search", *TINY, *arguments), *words)
    assert not list(tmp_path.rglob("study.toml"))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder.mkdir(), ["data"]),
        (lambda folder: images(folder, {"cat": 3, "dog": 1}), ["dog"]),
        (lambda folder: images(folder, {"cat": 3}), ["cat"]),
    ],
    ids=["empty", "one image", "one class"],
)
def test_bad_folders_of_images(
    make: Callable[[Path], Any], words: list[str], call: Callable[..., Called], tmp_path: Path
) -> None:
    make(tmp_path / "data")
    assert_refused(call("search", *TINY, "--data", tmp_path / "data", "--dir", tmp_path / "studies"), *words)


def test_truncated_images_are_refused_or_skipped(call: Callable[..., Called], tmp_path: Path) -> None:
    folder = images(tmp_path / "data", {"cat": 12, "dog": 12})
    broken = folder / "cat" / "3.jpg"
    broken.write_bytes(broken.read_bytes()[:200])
    arguments = ("search", *TINY, "--data", folder, "--dir", tmp_path / "studies", "--study", "s")
    assert_refused(call(*arguments), "3.jpg", "--skip-bad-images")
    done = call(*arguments, "--skip-bad-images")
    assert done.returncode == 0, done.stderr
    assert "1 unreadable images were left out" in done.stderr


def test_a_test_part_that_cannot_be_used_is_known_before_anything_is_trained(
    call: Callable[..., Called], tmp_path: Path
) -> None:
    images(tmp_path / "data" / "train", {"cat": 12, "dog": 12})
    images(tmp_path / "data" / "test", {"cat": 2, "cow": 2})
    words = "class folder cow in 'test'"
    arguments = ("--data", tmp_path / "data", "--dir", tmp_path / "studies")
    done = call("search", *TINY, *arguments, "--study", "s")
    assert done.returncode == 0, done.stderr
    assert "Warning   the final test will not be possible: " + words in done.stderr
    assert_refused(call("finalize", "s", "--dir", tmp_path / "studies"), words)
    assert not (tmp_path / "studies" / "s" / "final").exists()
    assert_refused(call("train", "cifar_resnet20_bsconvu", *arguments, "--to", tmp_path / "run"), words)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("schema_version = 1\n[settings]\ntrails = 3", ["settings.trails", "did you mean 'trials'"]),
        ("schema_version = 1\n[settings]\nlimits = {macs = -1}", ["limits.macs is -1"]),
        ("= 3", ["is not TOML"]),
    ],
)
def test_bad_configurations(text: str, words: list[str], call: Callable[..., Called], tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(text)
    assert_refused(call("search", "--config", tmp_path / "c.toml", "--dir", tmp_path), "c.toml", *words)


def test_an_unknown_key_in_a_space_file(call: Callable[..., Called], tmp_path: Path) -> None:
    text = (ROOT / "search_spaces" / "quick.toml").read_text().replace("out_channels", "out_chanels")
    (tmp_path / "mine.toml").write_text(text)
    arguments = ("search", *TINY, "--space", tmp_path / "mine.toml", "--dir", tmp_path)
    assert_refused(call(*arguments), "mine.toml", "unknown key 'stem.out_chanels'; did you mean 'out_channels'")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["--epochs", "2"], ["other training (epochs 1; now epochs 2)"]),
        (["--flops", "300k"], ["other limits (macs 200000; now macs 300000)"]),
        (["--seed", "7"], ["other seed (0; now 7)"]),
        (["--space", "cifar"], ["other space"]),
        (["--image-size", "12"], ["other"]),
    ],
)
def test_a_study_made_otherwise(
    changes: list[str], words: list[str], studies: Path, tmp_path: Path, call: Callable[..., Called]
) -> None:
    shutil.copytree(studies / "s", tmp_path / "s")
    before = (tmp_path / "s" / "study.toml").read_text()
    arguments = ["search", *TINY, "--flops", "200k", "--study", "s", "--dir", str(tmp_path), *changes]
    assert_refused(call(*arguments), *words, "or another name by --study")
    assert (tmp_path / "s" / "study.toml").read_text() == before


def test_a_study_of_other_data(studies: Path, tmp_path: Path, call: Callable[..., Called]) -> None:
    shutil.copytree(studies / "s", tmp_path / "s")
    folder = images(tmp_path / "data", {str(number): 20 for number in range(10)})
    arguments = ("search", *TINY, "--flops", "200k", "--study", "s", "--dir", tmp_path, "--data", folder)
    assert_refused(call(*arguments), "study 's' was made with other", "--study")


def test_a_file_in_place_of_the_folder_of_studies(tmp_path: Path, call: Callable[..., Called]) -> None:
    (tmp_path / "file").write_text("")
    assert_refused(call("search", *TINY, "--dir", tmp_path / "file"), "cannot write to", "--dir")


def test_a_second_driver(studies: Path, tmp_path: Path, call: Callable[..., Called]) -> None:
    from bsconv_nas.study.lease import Lease

    shutil.copytree(studies / "s", tmp_path / "s")
    with Lease(tmp_path / "s"):
        done = call("search", *TINY, "--flops", "200k", "--study", "s", "--dir", tmp_path)
        status = json.loads(call("studies", "status", "s", "--dir", tmp_path, "--json").stdout)
    assert_refused(done, f"is being searched by process {os.getpid()}")
    assert status["state"] == "running"


@pytest.mark.parametrize("workers", ["0", pytest.param("2", marks=pytest.mark.long)])
def test_a_full_disk_keeps_what_is_stored(tmp_path: Path, workers: str) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=900k", "none", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("cannot mount a small disk here")
    try:
        arguments = ("search", "--trials", "40", "--epochs", "1", "--dir", disk, "--study", "s", "--quiet")
        done = run(*arguments, "--workers", workers)
        assert_refused(done, "No space left" if "No space" in done.stderr else "full", "what is stored is kept")
        rows = json.loads(run("studies", "list", "--dir", disk, "--json").stdout)
        assert rows[0]["finished"] >= 1
        subprocess.run(["mount", "-o", "remount,size=50m", str(disk)], check=True)
        done = run("search", "--trials", str(rows[0]["finished"] + 1), *arguments[3:], "--workers", "0")
        assert done.returncode == 0, done.stderr
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--trial", "99"], ["no trial 99; it has trials 0 to 1"]),
        (["--to", "{exists}"], ["exists and is not an empty folder", "--force"]),
        (["--to", "{exists}", "--force"], ["is no earlier export: it holds 'precious.txt'"]),
        (["--to", "/proc/new"], ["cannot write /proc/new"]),
        (["--dir", "{exists}"], ["no study 's'"]),
    ],
)
def test_bad_exports(
    arguments: list[str], words: list[str], studies: Path, tmp_path: Path, call: Callable[..., Called]
) -> None:
    exists = tmp_path / "exists"
    exists.mkdir()
    (exists / "precious.txt").write_text("mine")
    given = [argument.format(exists=exists) for argument in arguments]
    done = call("export", "s", "--dir", studies, "--to", tmp_path / "new", *given)
    assert_refused(done, *words)
    assert (exists / "precious.txt").read_text() == "mine"
    assert not (tmp_path / "new").exists()


def test_an_export_of_a_trial_without_weights(studies: Path, tmp_path: Path, call: Callable[..., Called]) -> None:
    shutil.copytree(studies / "s", tmp_path / "s")
    for path in (tmp_path / "s" / "weights").iterdir():
        path.unlink()
    done = call("export", "s", "--dir", tmp_path, "--to", tmp_path / "new")
    assert_refused(done, "has no weights: only those of members of the front are stored; choose one of")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["front", "nowhere"], ["no study 'nowhere'"]),
        (["front"], ["no study in"]),
        (["profile", "missing.json"], ["cannot read missing.json"]),
        (["profile"], ["no study in"]),
        (["export"], ["--to"]),
        (["studies", "status", "../x"], ["no study '../x'"]),
        (["spaces", "show", "cfar"], ["did you mean 'cifar'"]),
        (["spaces", "show", "quick", "--flops", "x"], ["--flops 'x'"]),
        (["spaces", "show", "quick", "--image-size", "0"], ["image-size is 0"]),
        (["serch"], ["serch", "search"]),
    ],
)
def test_bad_uses_of_other_verbs(
    arguments: list[str], words: list[str], call: Callable[..., Called], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_refused(call(*arguments), *words)


def test_a_plot_that_cannot_be_written(studies: Path, call: Callable[..., Called]) -> None:
    assert_refused(call("front", "s", "--dir", studies, "--plot", "/proc/front.html"), "cannot write /proc/front.html")
