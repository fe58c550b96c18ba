"""Figures and the report's files: right data, formats, one program without imports, nothing that could break out."""

import csv
import json
import re
from pathlib import Path

import pytest

from benchmarks.made_up_study import BUDGET, MadeUpStudy
from bsconv_nas.dashboard.source import StudySource
from bsconv_nas.errors import UsageError
from bsconv_nas.pareto import CostAxis, hypervolume
from bsconv_nas.report.figures import draw_final, draw_front, draw_progress, final_data, front_data, progress_data
from bsconv_nas.report.page import ASSETS, bundle, front_of, report_page, write_report
from bsconv_nas.study.rows import Row

LIMITS = {"macs": BUDGET}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> StudySource:
    study = MadeUpStudy(tmp_path_factory.mktemp("figures") / "s<!--<script>")
    study.add(9)  # below what importances need: they are tested apart
    study.add(3, "PRUNED")
    study.add(2, "FAIL")
    source = StudySource(study.folder)
    source.refresh()
    return source


def test_front_data_has_every_network_once(source: StudySource) -> None:
    data = front_data("s", LIMITS, source.table.rows.values())
    assert [point["trial"] for point in data["front"]] == [row.number for row in front_of(source)]
    assert len(data["front"]) + len(data["dominated"]) == 9
    assert len(data["stopped"]) == 3
    for point in data["dominated"]:
        assert any(m["cost"] <= point["cost"] and m["top1"] >= point["top1"] for m in data["front"])


def test_progress_ends_at_the_whole_hypervolume(source: StudySource) -> None:
    rows = source.table.rows.values()
    steps = progress_data(LIMITS, rows, floor=0.1)
    complete = [row for row in rows if row.top1 is not None]
    axis = CostAxis(min(row.objective for row in complete), BUDGET)
    area = hypervolume([axis.position(r.objective) for r in complete], [r.top1 or 0 for r in complete], 1.0, 0.1)
    assert steps[-1]["volume"] == pytest.approx(area / 0.9)
    assert steps[-1]["best"] == max(row.top1 or 0 for row in complete)
    assert [step["count"] for step in steps] == list(range(1, 15))
    volumes = [step["volume"] for step in steps]
    assert volumes == sorted(volumes)
    assert progress_data(LIMITS, []) == []


@pytest.mark.parametrize(("suffix", "begin"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_figures_are_files_of_their_format(source: StudySource, tmp_path: Path, suffix: str, begin: bytes) -> None:
    rows = source.table.rows.values()
    draw_front(front_data("s", LIMITS, rows), tmp_path / f"front.{suffix}")
    draw_progress(progress_data(LIMITS, rows), tmp_path / f"progress.{suffix}")
    for name in ("front", "progress"):
        assert (tmp_path / f"{name}.{suffix}").read_bytes().startswith(begin)


def test_axes_of_figures_are_true(source: StudySource, tmp_path: Path) -> None:
    row = next(row for row in source.table.rows.values() if row.top1 is not None)
    rows = [row._replace(number=i, objective=macs, top1=0.5 + i / 10) for i, macs in enumerate((4e6, 9e6, 3e7))]
    draw_front(front_data("s", {"macs": 4e7}, rows), tmp_path / "front.svg")
    labels = re.findall(r">([\d.]+[kMG]?)<", (tmp_path / "front.svg").read_text())
    assert {"5M", "10M", "20M"} <= set(labels)
    assert not {"1M", "2M"} & set(labels)


def test_a_random_arm_shares_the_axis_of_the_hypervolume(source: StudySource, tmp_path: Path) -> None:
    rows = list(source.table.rows.values())
    cheap = [row._replace(objective=row.objective / 10) for row in rows]
    steps, arm = progress_data(LIMITS, rows, 0.1, cheap), progress_data(LIMITS, cheap, 0.1, rows)
    assert steps[-1]["volume"] < progress_data(LIMITS, rows, 0.1)[-1]["volume"]
    assert steps[-1]["volume"] < arm[-1]["volume"]
    draw_progress(steps, tmp_path / "progress.svg", arm)
    assert "random search" in (tmp_path / "progress.svg").read_text()


def test_final_results_are_drawn_with_their_intervals(tmp_path: Path) -> None:
    rows = [
        {"kind": kind, "name": kind, "macs": macs, "mean": 0.9, "interval": [0.88, 0.91]}
        for kind, macs in (("searched", 9e6), ("random", 1.1e7), ("reference", 1.2e7))
    ]
    data = final_data({"rows": rows})
    assert data["random"] == [{"name": "random", "macs": 1.1e7, "top1": 0.9, "low": 0.88, "high": 0.91}]
    draw_final(data, tmp_path / "final.svg")
    text = (tmp_path / "final.svg").read_text()
    assert all(word in text for word in ("searched, best: ", "of a random search", "hand-made"))


def test_an_empty_study_can_be_drawn(tmp_path: Path) -> None:
    draw_front(front_data("s", {}, []), tmp_path / "front.svg")
    draw_progress([], tmp_path / "progress.svg")
    assert (tmp_path / "front.svg").read_text().startswith("<?xml")


def test_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot draw to 'front.doc'; .* \.svg, \.png, \.pdf"):
        draw_front(front_data("s", {}, []), tmp_path / "front.doc")


def test_the_program_has_all_modules_and_no_imports() -> None:
    program = bundle("main.js")
    modules = {file.name for file in ASSETS.iterdir() if file.name.endswith(".js")} - {"theme.js"}
    for name in modules:
        assert f'modules["{name}"] = ' in program, f"{name} is imported by none"
    assert not re.search(r"^(import|export) ", program, re.MULTILINE)
    assert "</script" not in program.lower()


def test_the_page_names_no_other_place_and_nothing_breaks_out(source: StudySource) -> None:
    page = report_page(source)
    data = re.search(r'id="report-data">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    study = json.loads(data[1])["studies"][0]
    assert study["name"] == "s<!--<script>"
    assert "<" not in data[1]
    assert not re.search(r'(src|href)="(?!data:)', page)
    addresses = set(re.findall(r"https?://[\w./-]+", page))
    assert addresses <= {"http://www.w3.org/2000/svg"}


def test_a_report_holds_the_front(source: StudySource, tmp_path: Path) -> None:
    write_report(source, tmp_path)
    front = front_of(source)
    rows = list(csv.DictReader((tmp_path / "pareto.csv").read_text().splitlines()))
    assert [int(row["trial"]) for row in rows] == [row.number for row in front]
    data = json.loads((tmp_path / "front.json").read_text())
    assert [member["val_top1"] for member in data["front"]] == [row.top1 for row in front]
    assert all(member["arch"]["schema_version"] == 1 for member in data["front"])


def test_the_page_knows_the_fields_of_a_row() -> None:
    fields = re.search(r"FIELDS = \[(.*?)\]", (ASSETS / "store.js").read_text(), re.DOTALL)
    assert fields is not None
    assert tuple(re.findall(r'"(\w+)"', fields[1])) == Row._fields
