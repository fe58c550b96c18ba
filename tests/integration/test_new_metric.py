"""A cost metric that the package does not have: one row of `METRICS`, and it goes the whole way."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from bsconv_nas.api import search
from bsconv_nas.dashboard.details import trial_details
from bsconv_nas.dashboard.source import StudySource, snapshot
from bsconv_nas.engine.options import SearchOptions
from bsconv_nas.final.contestants import Contestant
from bsconv_nas.final.records import FinalRecord
from bsconv_nas.final.results import summarise
from bsconv_nas.networks.cost import METRICS, Metric
from bsconv_nas.report.page import write_report
from bsconv_nas.study import Study
from bsconv_nas.study.settings import SearchSettings, StudyFile
from tests.commands import run_command

SPACE = """
schema_version = 1
name = "tiny"
title = "A few networks"
image_size = [1, 64]
stem = { out_channels = [8], stride = 2 }
layers = { conv = ["U", "S-1/2"], kernel_size = [3] }
network = { shortcut = ["none"], se = [false] }
stages = [{ stride = 1, depth = [1, 2], width = [8, 16, 24] }]
"""
LIMIT = 3000  # of 4 bytes for each parameter: a third of the space is above


@pytest.fixture(autouse=True)
def weight_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Metric("size of the weights (bytes)", lambda cost: 4 * cost.params, "weights", "bytes", caption="Made up.")
    monkeypatch.setitem(METRICS, "weight_bytes", row)


def searched(folder: Path) -> Study:
    path = folder.parent / "tiny.toml"
    path.write_text(SPACE)
    options = SearchOptions(epochs=1)
    study = search(path, limits={"weight_bytes": "3k"}, data="digits", trials=4, seed=2, folder=folder, options=options)
    settings = SearchSettings(data="digits", space=str(path), trials=4, limits={"weight_bytes": LIMIT})
    resolved = {"image_size": [8, 8], "classes": [str(digit) for digit in range(10)], "space": "tiny"}
    StudyFile(schema_version=1, name=study.name, settings=settings, resolved=resolved).write(folder)
    return study


def shown(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert run_command(arguments) == 0
    return capsys.readouterr().out


def test_it_is_a_limit_and_a_column_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    folder = tmp_path / "study"
    study = searched(folder)
    front = study.front()
    assert study.limits.bounds == {"weight_bytes": LIMIT}
    assert all(r.cost["weight_bytes"] == 4 * r.cost["params"] <= LIMIT for r in study.records)

    rows: list[dict[str, Any]] = json.loads(shown(["front", str(folder), "--json"], capsys))
    assert [row["weight_bytes"] for row in rows] == [record.cost["weight_bytes"] for record in front]
    table = shown(["front", str(folder)], capsys)
    assert table.split()[:6] == ["trial", "network", "MACs", "params", "weights", "val"]
    assert "Made up." in table
    layers = json.loads(shown(["profile", str(folder), "--json"], capsys))["layers"]
    assert all(layer["weight_bytes"] == 4 * layer["params"] for layer in layers)
    assert "weights" in shown(["profile", str(folder)], capsys)

    source = StudySource(folder)
    source.refresh()
    page = snapshot(source)
    metric = {"id": "weight_bytes", "name": "weights", "label": "size of the weights (bytes)", "unit": "bytes"}
    assert {**metric, "column": True} in page["metrics"]
    assert {row.number: row.cost["weight_bytes"] for row in page["rows"]} == {
        record.number: record.cost["weight_bytes"] for record in study.records
    }
    layer = trial_details(source, front[0].number)["layers"][0]
    assert layer["cost"]["weight_bytes"] == 4 * layer["cost"]["params"]
    write_report(source, tmp_path / "report")
    with (tmp_path / "report/pareto.csv").open() as lines:
        members = list(csv.DictReader(lines))
    assert [float(row["weight_bytes"]) for row in members] == [record.cost["weight_bytes"] for record in front]
    assert '"id":"weight_bytes"' in (tmp_path / "report/index.html").read_text()

    shown(["export", str(folder), "--to", str(tmp_path / "network")], capsys)
    assert "| size of the weights (bytes) | " in (tmp_path / "network/MODEL_CARD.md").read_text()
    shown(["verify", str(tmp_path / "network")], capsys)


def test_it_is_a_column_of_a_final_comparison() -> None:
    contestants = [
        Contestant("searched", "trial-1", 1e6, 1000, 10, 1, 0.5, costs={"weight_bytes": 40}),
        Contestant("reference", "other", 1e6, 900, 9),
    ]
    records = [FinalRecord(c.name, c.name, c.trial, 0, 1, 1, 0.5, 1.0, 0.5, 100) for c in contestants]
    results = summarise(contestants, records, 1, [0], "made up")
    assert "| weights |" in results.to_markdown()
    assert "40B" in results.to_markdown()
    assert [row["weight_bytes"] for row in csv.DictReader(results.to_csv().splitlines())] == ["40", ""]
