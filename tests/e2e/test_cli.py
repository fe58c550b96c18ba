"""The command line as users meet it: processes, exit codes, one line on stderr for what cannot be."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.commands import run_command

ROOT = Path(__file__).parents[2]
TINY = ("--trials", "2", "--epochs", "1", "--workers", "0")


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "bsconv_nas", *map(str, arguments)]


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "NO_COLOR": "1"}


def run(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, cwd=cwd, env=ENVIRONMENT, timeout=250, check=False
    )


@dataclass
class Called:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Called]:
    """Run the command line in this process: for the many bad inputs, of which each would start torch anew."""

    def called(*arguments: str | Path) -> Called:
        monkeypatch.setattr(sys, "argv", list(sys.argv))
        capsys.readouterr()
        code = run_command([*map(str, arguments)])
        captured = capsys.readouterr()
        return Called(code, captured.out, captured.err)

    return called


def assert_refused(done: Any, *words: str, code: int = 2) -> None:
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("bsconv-nas: error: ")
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the finished study `s` of the digits. Only to be read."""
    directory = tmp_path_factory.mktemp("studies")
    done = run("search", *TINY, "--flops", "200k", "--study", "s", "--dir", directory)
    assert done.returncode == 0, done.stderr
    (directory / "output.txt").write_text(done.stdout)
    (directory / "errors.txt").write_text(done.stderr)
    return directory


def images(folder: Path, counts: dict[str, int]) -> Path:
    rng = np.random.default_rng(0)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.jpg")
    return folder


# What works


def test_search_prints_the_front_and_what_to_type_next(studies: Path) -> None:
    output, errors = (studies / "output.txt").read_text(), (studies / "errors.txt").read_text()
    assert "Best network within macs <= 200k: trial " in output
    assert f"Study: {studies / 's'}" in output
    assert f"bsconv-nas front {studies / 's'}" in output
    assert "[2/2] trial 1 complete: " in errors
    assert "1438 images (287 of them held out), 8x8, 10 classes" in errors
    assert {path.name for path in (studies / "s").iterdir()} >= {"study.toml", "study.db", "weights"}


def test_search_again_trains_nothing_and_more_trials_continue(studies: Path, tmp_path: Path) -> None:
    shutil.copytree(studies / "s", tmp_path / "s")
    same = ("--flops", "200k", "--study", "s", "--dir", tmp_path, "--epochs", "1", "--workers", "0")
    done = run("search", *same, "--trials", "3", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    result = json.loads(done.stdout)
    assert result["trials"] == 3
    assert result["ended_because"] is None
    assert result["best"]["macs"] <= 200_000
    assert result["front"][-1] == result["best"]
    assert result["limits"] == {"macs": 200_000}
    again = run("search", *same, "--trials", "2", "--quiet")
    assert again.returncode == 0
    assert again.stderr == ""


def test_search_with_ray_workers(tmp_path: Path) -> None:
    done = run("search", "--trials", "3", "--epochs", "1", "--workers", "2", "--json", "--dir", tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["trials"] == 3


def test_ctrl_c_ends_with_130_and_the_command_that_resumes(tmp_path: Path) -> None:
    arguments = ("search", "--trials", "60", "--epochs", "3", "--workers", "2", "--dir", tmp_path, "--study", "s")
    with subprocess.Popen(
        command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "trial" in line and "complete" in line:
                os.killpg(process.pid, signal.SIGINT)  # as a terminal does: workers get it too
                break
        output, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert "Ended early: interrupted by SIGINT. To continue:\n  bsconv-nas search" in output
    assert "--study s --trials 60" in output
    status = json.loads(run("studies", "status", "s", "--dir", tmp_path, "--json").stdout)
    assert status["state"] == "interrupted"
    assert 1 <= status["finished"] < 60
    assert "failed" not in status


def test_a_time_limit_ends_the_search(tmp_path: Path) -> None:
    done = run("search", "--time", "0.01s", "--workers", "0", "--dir", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Ended early: the time limit was reached. To continue:" in done.stdout


def test_front(studies: Path, tmp_path: Path) -> None:
    done = run("front", "s", "--dir", studies, "--plot", tmp_path / "front.html")
    assert done.returncode == 0, done.stderr
    assert "val top-1" in done.stdout
    page = (tmp_path / "front.html").read_text()
    assert "<html" in page
    assert "<script src=" not in page  # works from disk, without network
    rows = json.loads(run("front", studies / "s", "--json").stdout)
    assert rows
    assert all({"trial", "arch_id", "macs", "params", "val_top1"} <= row.keys() for row in rows)
    assert [row["macs"] for row in rows] == sorted(row["macs"] for row in rows)
    assert all(0 <= row["val_top1"] <= 1 and row["macs"] <= 200_000 for row in rows)


def test_profile_of_a_trial_a_file_and_a_toml(studies: Path, tmp_path: Path, call: Callable[..., Called]) -> None:
    import tomli_w

    from bsconv_nas.study.locate import load_study

    best = load_study("s", studies).best()
    assert best is not None
    arch = best.arch_spec()
    assert arch is not None
    (tmp_path / "arch.json").write_text(json.dumps(arch.to_dict()))
    (tmp_path / "arch.toml").write_text(tomli_w.dumps(arch.to_dict()))
    found = [
        call("profile", *target, "--json")
        for target in (("--dir", studies), (tmp_path / "arch.json",), (tmp_path / "arch.toml",))
    ]
    results = [json.loads(done.stdout) for done in found]
    assert results[0] == results[1] == results[2]
    assert results[0]["macs"] == best.cost["macs"] == sum(layer["macs"] for layer in results[0]["layers"])
    shown = call("profile", "s", "--dir", studies, "--trial", str(best.number))
    assert shown.returncode == 0
    assert f"{int(best.cost['macs']):,}" in shown.stdout


def test_an_export_runs_without_this_package(studies: Path, tmp_path: Path) -> None:
    done = run("export", "s", "--dir", studies, "--to", tmp_path / "net", "--format", "torch")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "net").iterdir()} >= {"arch.json", "model.py", "model.safetensors"}
    code = (
        "import sys; sys.modules['bsconv_nas'] = None\n"
        "import torch; from model import load\n"
        "print(tuple(load()(torch.rand(2, 3, 8, 8)).shape), 'bsconv_nas' in dir())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path / "net", timeout=100, check=False
    )
    assert ran.stdout.startswith("(2, 10)"), ran.stderr


def test_studies(studies: Path, call: Callable[..., Called]) -> None:
    (row,) = json.loads(call("studies", "list", "--dir", studies, "--json").stdout)
    assert (row["study"], row["state"], row["finished"], row["trials"]) == ("s", "finished", 2, 2)
    assert "finished" in call("studies", "list", "--dir", studies).stdout
    assert json.loads(call("studies", "status", "--dir", studies, "--json").stdout)["best"] == row["best"]
    assert "s" in call("studies", "status", "s", "--dir", studies).stdout


def test_a_damaged_study_is_listed_too(studies: Path, tmp_path: Path, call: Callable[..., Called]) -> None:
    shutil.copytree(studies / "s", tmp_path / "s")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "study.toml").write_text("{")
    rows = json.loads(call("studies", "list", "--dir", tmp_path, "--json").stdout)
    assert {row["study"]: row["state"][:10] for row in rows} == {"s": "finished", "bad": "unreadable"}


def test_spaces(call: Callable[..., Called]) -> None:
    names = {row["name"] for row in json.loads(call("spaces", "list", "--json").stdout)}
    assert names == {"cifar", "mobile", "quick"}
    facts = json.loads(call("spaces", "show", "quick", "--flops", "200k", "--json").stdout)
    assert facts["macs_range"][0] < 200_000 < facts["macs_range"][1]
    assert 0 < facts["share_within_limits"] < 1
    assert call("spaces").returncode == call("spaces", "show", "mobile", "--flops", "300M").returncode == 0


VERBS = [
    "",
    "search",
    "front",
    "profile",
    "export",
    "finalize",
    "verify",
    "latency",
    "spaces",
    "spaces show",
    "spaces list",
    "studies",
]


@pytest.mark.parametrize("verb", [*VERBS, "studies list", "studies status", "studies recipes"])
def test_help_of_every_verb(verb: str, call: Callable[..., Called]) -> None:
    done = call(*verb.split(), "-h")
    assert done.returncode == 0
    assert "Usage: bsconv-nas" in done.stdout
    assert done.stderr == ""


def test_without_a_verb_the_help_is_shown(call: Callable[..., Called]) -> None:
    done = call()
    assert "search" in done.stdout + done.stderr


def test_version(call: Callable[..., Called]) -> None:
    from bsconv_nas import __version__

    assert call("--version").stdout == f"bsconv-nas {__version__}\n"


# What is refused


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
    assert_refused(done, "has no weights: only members of the front keep theirs; choose one of")


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
