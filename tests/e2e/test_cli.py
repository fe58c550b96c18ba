"""The command line as users meet it: what works."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.command_line import ENVIRONMENT, Called, command, run


def test_search_prints_the_front_and_what_to_type_next(studies: Path) -> None:
    output, errors = (studies / "output.txt").read_text(), (studies / "errors.txt").read_text()
    assert "Best with macs <= 200k: trial " in output
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
