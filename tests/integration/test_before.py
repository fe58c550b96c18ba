"""A study, an export and a training of an earlier version (tests/data/before) open, continue and verify."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bsconv_nas.study import Study, TrialState
from bsconv_nas.study.locate import load_study
from tests.commands import run_command

BEFORE = Path(__file__).parents[1] / "data" / "before"
SETTINGS = ["--epochs", "2", "--workers", "0", "--precision", "float32"]
SEARCH = ["search", "--study", "digits", "--flops", "60k", *SETTINGS, "--trials"]
TRAIN = ["train", "export/arch.json", "--epochs", "4", "--precision", "float32", "--to", "training"]
KILLED = 4  # the trial that was killed in its second epoch

Command = Callable[..., Any]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command in a folder with a copy of the files; what it prints, read as JSON where it is that."""
    shutil.copytree(BEFORE, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setattr("sys.argv", [])

    def run(*arguments: str) -> Any:
        code, printed = run_command([*arguments]), capsys.readouterr()
        assert code == 0, printed
        return json.loads(printed.out) if "--json" in arguments else printed.out

    return run


def _study() -> Study:
    return load_study("digits")


def test_the_study_opens(command: Command) -> None:
    assert "digits" in command("studies", "list")
    row = command("studies", "status", "digits", "--json")
    assert (row["study"], row["state"], row["trials"], row["finished"]) == ("digits", "interrupted", 8, 4)
    assert row["limits"] == {"macs": 60_000}
    front = command("front", "digits", "--json")
    assert [member["trial"] for member in front] == [1, 3, 2]
    assert [member["macs"] for member in front] == [33_344, 39_840, 51_328]
    assert [member["arch_id"] for member in front] == ["c1c7d941cab8", "7c643f6b224a", "7299dda66c41"]
    assert [member["val_top1"] for member in front] == pytest.approx([56 / 287, 73 / 287, 202 / 287], abs=1e-4)
    assert _study().unfinished() == [KILLED]


def test_the_study_continues_and_its_killed_trial_resumes(command: Command) -> None:
    before = {record.number: record for record in _study().all_records}
    command(*SEARCH, "6")
    study = _study()
    records = {record.number: record for record in study.records}
    assert sorted(records) == [0, 1, 2, 3, 4, 5]
    assert {record.state for record in records.values()} == {TrialState.COMPLETE}
    for number in range(KILLED):
        assert records[number] == before[number]
    resumed, killed = records[KILLED], before[KILLED]
    assert (resumed.genotype, resumed.seed) == (killed.genotype, killed.seed)
    assert [result.epoch for result in resumed.curve] == [1, 2]
    # An epoch that was trained once more would have taken another time.
    assert resumed.curve[0] == killed.curve[0]
    assert not list(Path("studies/digits/checkpoints").iterdir())
    command("export", "digits", "--to", "again", "--format", "torch")
    assert not any(row["problems"] for row in command("verify", "again", "--json"))


def test_another_training_does_not_continue_it(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command([*SEARCH, "6", "--epochs", "3"]) == 2
    assert "training" in capsys.readouterr().err


def test_weights_that_the_search_kept_are_exported(command: Command) -> None:
    command("export", "digits", "--to", "again", "--format", "torch")
    exported, before = (json.loads(Path(f"{folder}/export.json").read_text()) for folder in ("again", "export"))
    assert (exported["arch_id"], exported["accuracies"]) == (before["arch_id"], before["accuracies"])
    assert Path("again/model.safetensors").read_bytes() == Path("export/model.safetensors").read_bytes()


def test_the_export_verifies(command: Command) -> None:
    manifest = json.loads(Path("export/export.json").read_text())
    if torch.__version__ < manifest["provenance"]["versions"]["torch"]:
        del manifest["forms"]["model.pt2"]  # torch reads programs of older versions, not of newer ones
        Path("export/export.json").write_text(json.dumps(manifest))
    rows = command("verify", "export", "--json")
    assert {row["file"] for row in rows} >= {*manifest["forms"]} >= {"model.py", "model.onnx", "model-int8.onnx"}
    assert not any(row["problems"] for row in rows), rows


def test_the_training_continues_to_its_end(command: Command) -> None:
    before = Path("training/log.csv").read_text().splitlines()
    assert len(before) == 3, "a head and two epochs"
    result = command(*TRAIN, "--json")
    log = Path("training/log.csv").read_text().splitlines()
    assert log[:3] == before, "with the seconds of then: these epochs were not trained again"
    assert [line.partition(",")[0] for line in log[1:]] == ["1", "2", "3", "4"]
    assert (result["model"], result["epochs"]) == ("arch", 4)
    assert result["val_top1"] == pytest.approx(max(float(line.split(",")[2]) for line in log[1:]), abs=1e-6)
    assert result["test_top1"] > 0.6
    assert not Path("training/checkpoint.safetensors").exists()


def test_the_files_are_small_and_of_no_machine() -> None:
    files = [path for path in BEFORE.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 600_000
    for path in files:
        content = path.read_bytes()
        assert not any(word in content for word in (b"/work", b"/home/", b"/root/", b"/tmp/", b"site-packages")), path
