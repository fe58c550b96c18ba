"""The networks of the studies that are kept here: each runs on its own, and its card says what `front.json` says."""

import json
from pathlib import Path

import pytest

from bsconv_nas.export.verify import verify

STUDIES = Path(__file__).parents[2] / "studies"
FOLDERS = sorted(STUDIES.glob("*/networks/*"))


@pytest.mark.parametrize("folder", FOLDERS, ids=[folder.name for folder in FOLDERS])
def test_every_file_gives_the_outputs_and_costs_of_the_network(folder: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs bsconv-nas[export]")
    findings = verify(folder)
    assert {"model.py", "model.onnx"} <= {finding["file"] for finding in findings}
    assert not [problem for finding in findings for problem in finding["problems"]]


@pytest.mark.parametrize("folder", FOLDERS, ids=[folder.name for folder in FOLDERS])
def test_it_is_the_network_of_the_front(folder: Path) -> None:
    front = {
        f"trial-{member['trial']}": member
        for member in json.loads((folder.parents[1] / "front.json").read_text())["front"]
    }
    arch = json.loads((folder / "arch.json").read_text())
    assert arch == front[folder.name]["arch"]


def test_they_are_small() -> None:
    assert FOLDERS
    assert sum(file.stat().st_size for folder in FOLDERS for file in folder.iterdir() if file.is_file()) < 5_000_000
