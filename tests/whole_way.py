"""What becomes of a study after its search: the front as JSON of the command line, and the data of the report page."""

import json
from pathlib import Path
from typing import Any

import pytest

from bsconv_nas.dashboard.details import trial_details
from bsconv_nas.dashboard.source import StudySource, snapshot
from bsconv_nas.report.page import front_of
from bsconv_nas.study import Study
from bsconv_nas.study.settings import SearchSettings, StudyFile
from tests.commands import run_command


def front_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The front that `bsconv-nas front --json` prints."""
    capsys.readouterr()
    assert run_command(["front", str(folder), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def page_data(folder: Path) -> dict[str, Any]:
    """The data of the report page but for the importances, which take another process and seconds."""
    source = StudySource(folder)
    source.refresh()
    front = [row.number for row in front_of(source)]
    return {**snapshot(source), "front": front, "trials": {number: trial_details(source, number) for number in front}}


def assert_shown(study: Study, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """That command line and page have the front and the trials of a study in a folder; the data of the page."""
    folder = study.folder
    assert folder is not None
    if not (folder / "study.toml").exists():
        settings = SearchSettings(trials=study.count)
        StudyFile(schema_version=1, name=study.name, settings=settings).write(folder)
    numbers = [record.number for record in study.front()]
    assert numbers
    assert [row["trial"] for row in front_json(folder, capsys)] == numbers
    data = page_data(folder)
    assert data["front"] == numbers
    assert all(data["trials"].values())
    assert {row.number: row.state for row in data["rows"]} == {r.number: str(r.state) for r in study.records}
    return data
