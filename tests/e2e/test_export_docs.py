"""The commands of docs/export.md, in order, in one process; and what they leave behind."""

import contextlib
import importlib.util
import json
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.commands import run_command

TEXT = (Path(__file__).parents[2] / "docs/export.md").read_text()
SHORT = {
    "search": ["--trials", "3", "--epochs", "1", "--workers", "0"],
    "finalize": ["--epochs", "1", "--seeds", "2", "--top", "1", "--workers", "0", "--at", "300k"],
    "train": ["--epochs", "1"],
    "latency": ["--seconds", "0.02"],
}
pytestmark = [
    pytest.mark.timeout(900),  # half a minute of work, all of it before the first test
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxscript", "onnxruntime")),
        reason="needs the packages of the extra `export`",
    ),
]


def commands() -> list[list[str]]:
    blocks = re.findall(r"```bash\n(.*?)```", TEXT, flags=re.DOTALL)
    return [shlex.split(line)[1:] for block in blocks for line in block.splitlines()]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands ran; their output is in output.txt."""
    folder = tmp_path_factory.mktemp("docs")
    with pytest.MonkeyPatch.context() as patch, (folder / "output.txt").open("w") as output:
        patch.chdir(folder)
        patch.setattr(sys, "argv", list(sys.argv))
        with contextlib.redirect_stdout(output):
            for arguments in commands():
                assert run_command([*arguments, *SHORT.get(arguments[0], [])]) == 0, arguments
    return folder


def test_final_results_are_on_disk_and_exported(home: Path) -> None:
    results = json.loads((home / "studies/demo/final/results.json").read_text())
    kinds = [row["kind"] for row in results["rows"]]
    assert kinds[0] == "searched"
    assert "reference" in kinds
    # The training of a reference that is a few channels wide may diverge with a seed, and is left out then.
    assert all(len(row["test_top1"]) == 2 for row in results["rows"] if row["kind"] == "searched")
    assert all(len(row["test_top1"]) in (1, 2) for row in results["rows"])
    manifest = json.loads((home / "network/export.json").read_text())
    best = next(row for row in results["rows"] if f"trial {row['trial']} of" in manifest["title"])
    assert manifest["forms"]["model.onnx"]["test_top1"] in best["test_top1"]
    assert manifest["macs"] == best["macs"]


def test_every_file_was_checked_with_its_test_accuracy(home: Path) -> None:
    output = (home / "output.txt").read_text()
    for file in ("model.py", "model.pt2", "model.onnx", "model-int8.onnx"):
        assert re.search(rf"ok +{file} +outputs within .*, test top-1 [0-9.]+ %", output), file
    assert "Rank correlation" in output or "Student's" in output
    assert "images/s" in output


def test_a_reference_is_exported_from_its_training(home: Path) -> None:
    assert json.loads((home / "reference/arch.json").read_text())["reference"] == "cifar_mobilenetv1_w1d8"
    assert "| 359 test images |" in (home / "reference/MODEL_CARD.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export", "resnet10", "--to", "x"], "resnet10 has no weights: no finished training in runs/"),
        (["export", "demo", "--flops", "100", "--to", "x"], "begins at"),
        (["export", "demo", "--flops", "1M", "--trial", "0", "--to", "x"], "give one of them"),
        (["export", "demo", "--format", "onx", "--to", "x"], "did you mean 'onnx'"),
        (["export", "demo", "--data", "nowhere", "--to", "x"], "'nowhere' is neither"),
        (["finalize", "demo", "--at", "100"], "no network of the front"),
        (["finalize", "demo", "--seeds", "0"], "--seeds is 0"),
        (["finalize", "demo", "--epochs", "0"], "--epochs is 0"),
        (["finalize", "demo", "--data", "nowhere"], "'nowhere' is neither"),
        (["verify", "studies"], "is no exported network"),
        (["latency", "demo", "--batch", "0"], "batch is 0"),
        (["latency", "reference", "--backend", "onnxruntime"], "has no model.onnx"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: list[str], words: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    assert run_command(arguments) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert not (home / "x").exists()


# What a shell starts in the background ignores interrupts, and so do its children: these tests may be among them.
HEEDING = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("bsconv_nas", run_name="__main__")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_export_that_is_ended_leaves_nothing(home: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", HEEDING, "export", "demo", "--to", "ended", "--format", "onnx"]
    with subprocess.Popen(command, cwd=home, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while not list(home.glob(".ended-*/export/model.safetensors")):  # by then it is writing
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(number)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "interrupted" in errors
    assert not [*home.glob(".ended-*"), *home.glob("ended")]
