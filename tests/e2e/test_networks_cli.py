"""The verbs about single networks: train, models, convert, profile of named networks."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CLI = [sys.executable, "-m", "bsconv_nas"]


def run(arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*CLI, *arguments.split()], cwd=folder, capture_output=True, text=True, check=False)


def test_train_survives_a_kill_and_reports_the_test_accuracy(tmp_path: Path) -> None:
    command = "train cifar_resnet20_bsconvu --recipe seed --epochs 4 --learning-rate 0.02 --batch-size 64 --json"
    process = subprocess.Popen([*CLI, *command.split()], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    folder = tmp_path / "runs/cifar_resnet20_bsconvu-digits-seed-e4-s0"
    deadline = time.monotonic() + 120
    log = folder / "log.csv"
    while time.monotonic() < deadline and not (log.exists() and log.read_text().count("\n") > 1):
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    before = (folder / "log.csv").read_text().splitlines()
    assert 2 <= len(before) <= 4

    done = run(command, tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["test_interval"][0] <= result["test_top1"] <= result["test_interval"][1]
    assert (folder / "log.csv").read_text().splitlines()[:2] == before[:2]

    again = run(command, tmp_path)
    assert json.loads(again.stdout) == result
    clash = run(f"{command} --weight-decay 5e-4", tmp_path)
    assert clash.returncode == 2
    assert "another training" in clash.stderr


def test_models_lists_and_filters(tmp_path: Path) -> None:
    rows = json.loads(run("models --max-flops 12M --json", tmp_path).stdout)
    names = [row["model"] for row in rows]
    assert "cifar_resnet20_bsconvu" in names
    assert "cifar_mobilenetv1_w1" not in names
    assert all(row["macs"] <= 12_000_000 for row in rows)
    published = {row["model"]: row["cifar10_top1"] for row in rows}
    assert published["cifar_mobilenetv2_w1d4_bsconvs_p1d6"] == pytest.approx(0.906)


def test_convert_writes_profile_and_weights(tmp_path: Path) -> None:
    done = run("convert cifar_resnet20 --type s --p 1/4 --init svd --to out", tmp_path)
    assert done.returncode == 0, done.stderr
    replaced = json.loads((tmp_path / "out/replaced.json").read_text())
    assert len(replaced) == 19
    assert all(0 < row["error"] < 1 for row in replaced)
    profile = json.loads((tmp_path / "out/profile.json").read_text())
    assert f"{profile['total_macs']:,}" in done.stdout
    assert (tmp_path / "out/model.safetensors").stat().st_size > 50_000


def test_profile_of_a_named_network(tmp_path: Path) -> None:
    found = json.loads(run("profile mobilenetv2_w1 --json", tmp_path).stdout)
    assert found["total_parameter_count"] > 3_000_000
    assert found["network"] == "mobilenetv2_w1"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("profile resnet35", "nearest valid name is 'resnet34'"),
        ("profile torchvision:resnet19", "did you mean 'resnet1"),
        ("train resnet_nonsense", "nearest valid name"),
        ("train cifar_resnet20 --recipe sed", "did you mean 'seed'"),
        ("train cifar_resnet20 --epochs 0", "epochs"),
        ("convert cifar_resnet20 --type s --p 3/2", "ratio from 0 to 1"),
        ("models --max-flops 12Q", "not an amount"),
        ("profile missing.json", "cannot read missing.json"),
    ],
)
def test_wrong_input_is_one_line(arguments: str, message: str, tmp_path: Path) -> None:
    done = run(arguments, tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
