"""The page as a user sees it, in a real browser."""

import json
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.made_up_study import MadeUpStudy
from bsconv_nas.dashboard.source import StudySource
from bsconv_nas.networks.cost import METRICS, Metric
from bsconv_nas.report.page import front_of, write_report
from bsconv_nas.study.lease import Lease
from bsconv_nas.study.settings import SearchSettings, StudyFile
from tests.browser.serving import served

Watch = Callable[..., Any]
FINAL = {
    "schema_version": 1,
    "epochs": 30,
    "seeds": [0, 1],
    "data": "made-up",
    "rank_correlation": 0.5,
    "reference_share": 0.25,
    "rows": [
        {
            "kind": "searched",
            "name": "trial 3",
            "trial": 3,
            "budget": 2e7,
            "macs": 9_000_000,
            "params": 1000,
            "brief_val_top1": 0.6,
            "test_top1": [0.7, 0.8],
            "mean": 0.75,
            "std": 0.05,
            "interval": [0.65, 0.85],
        }
    ],
}


def make(studies: Path, name: str = "first", seed: int = 0) -> MadeUpStudy:
    study = MadeUpStudy(studies / name, asked=60, seed=seed)
    study.add(30)
    study.add(5, "PRUNED")
    study.add(3, "FAIL")
    return study


def text(page: Any, selector: str) -> str:
    return page.locator(selector).inner_text()


def box_of(page: Any, selector: str) -> dict[str, float]:
    """Where an element is; charts are drawn anew now and then, so the first answer may be none."""
    deadline = time.monotonic() + 90
    while (box := page.locator(selector).bounding_box()) is None:
        assert time.monotonic() < deadline
    return box


def test_shows_the_front_that_python_finds(watched: Watch, studies: Path) -> None:
    make(studies)
    source = StudySource(studies / "first")
    source.refresh()
    front = front_of(source)
    with served(studies) as server:
        watch = watched()
        page = watch.open(server.link)
        assert f"{100 * (front[-1].top1 or 0):.2f} %" in text(page, "#numbers")
        facts = text(page, "#study-facts")
        assert "5 epochs of 10 % of 45.0k images (the first 2 with smaller images)" in facts, facts
        assert text(page, '[data-group="front"] .count') == str(len(front))
        assert text(page, '[data-group="failed"] .count') == "3"
        page.locator("#filter").fill("front")
        numbers = page.locator("#trials tbody tr").evaluate_all("rows => rows.map(row => row.dataset.trial)")
        assert {int(number) for number in numbers} == {row.number for row in front}
        watch.assert_clean(server.link)


def test_updates_arrive_and_keep_zoom_and_selection(watched: Watch, studies: Path) -> None:
    study = make(studies)
    with served(studies) as server:
        watch = watched()
        page = watch.open(server.link)
        page.locator("#filter").fill("complete")
        page.locator("#trials tbody tr").first.click()
        selected = f"Trial {page.locator('#trials tr.chosen').get_attribute('data-trial')}"
        page.locator("#details h2", has_text=selected).wait_for()
        page.locator("#front-chart svg").focus()
        page.keyboard.press("+")
        ticks = page.locator("#front-chart .tick").all_inner_texts()
        study.add(1)
        page.locator("#numbers", has_text="39").wait_for()
        assert text(page, "#details h2") == selected
        assert page.locator("#front-chart .tick").all_inner_texts() == ticks
        page.keyboard.press("0")
        assert page.locator("#front-chart .tick").all_inner_texts() != ticks
        watch.assert_clean(server.link)


def test_a_running_trial_shows_its_epochs_and_then_its_end(watched: Watch, studies: Path) -> None:
    study = make(studies)
    number = study.add(1, "RUNNING")[0]
    with served(studies) as server:
        page = watched().open(server.link)
        assert f"Trial {number}" in text(page, "#running")
        assert "epoch 2 of 5" in text(page, "#running")
        study.finish(number, 0.9612)
        page.locator("#numbers", has_text="96.12 %").wait_for()
        assert page.locator("#running-card").is_hidden()


def test_workers_are_shown_and_silent_ones_marked(watched: Watch, studies: Path) -> None:
    study = make(studies)
    with served(studies) as server, Lease(study.folder):
        os.utime(study.folder / "driver.lock", (0, 0))  # a search that began long ago
        heard, silent = study.add(1, "RUNNING")[0], study.add(1, "RUNNING", silent=4000)[0]
        watch = watched()
        page = watch.open(server.link)
        assert "ago" in text(page, f"#running .run:has-text('Trial {heard}')")
        assert page.locator(f"#running .run.stale:has-text('Trial {silent}')").count() == 1
        assert "no news for 1 h" in text(page, f"#running .run:has-text('Trial {silent}')")
        lines = page.locator("#workers tbody tr").all_inner_texts()
        assert [line.split("\t")[0] for line in lines] == ["lab-1 pid 4100", "lab-2 pid 4101"]
        page.locator("#running .run", has_text=f"Trial {heard}").click()
        page.locator("#details .facts", has_text=f"lab-{1 + heard % 2} pid").wait_for()
        watch.assert_clean(server.link)


def test_other_costs_have_their_own_front(watched: Watch, studies: Path) -> None:
    study = MadeUpStudy(studies / "first", latency=True)
    study.add(20)
    with served(studies) as server:
        watch = watched()
        page = watch.open(server.link)
        assert page.locator("#front-chart .drag").count() == 1
        page.locator('[data-cost="latency_ms"]').click()
        page.locator("#front-title", has_text="Accuracy versus latency").wait_for()
        assert page.locator("#front-chart .axis-label", has_text="Latency (ms").count() == 1
        assert page.locator("#front-chart .drag").count() == 0
        assert "ms" in page.locator("#trials tbody tr").first.inner_text()
        page.locator("#front-chart svg").focus()
        page.keyboard.press("ArrowLeft")
        page.wait_for_url(re.compile(r"#trial=\d+$"))
        watch.assert_clean(server.link)


def test_a_new_metric_is_a_column_an_axis_and_in_details(
    watched: Watch, studies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        METRICS, "weight_bytes", Metric("size of the weights", lambda cost: 4 * cost.params, "weights", "bytes")
    )
    MadeUpStudy(studies / "first").add(20)
    with served(studies) as server:
        watch = watched()
        page = watch.open(server.link)
        assert page.locator("[data-cost]").all_inner_texts() == ["MACs", "Params", "Weights"]
        page.locator('[data-cost="weight_bytes"]').click()
        page.locator("#front-title", has_text="Accuracy versus weights").wait_for()
        assert page.locator("#front-chart .axis-label", has_text="Size of the weights").count() == 1
        assert "Weights" in page.locator("#trials th").all_inner_texts()
        page.locator("#details .facts dt", has_text="Weights").wait_for()
        with page.expect_download() as download:
            page.locator('[data-save="csv"]').click()
        header, first, *_ = Path(download.value.path()).read_text().splitlines()
        row = dict(zip(header.split(","), first.split(","), strict=True))
        assert int(row["weight_bytes"]) == 4 * int(row["params"])
        watch.assert_clean(server.link)


def test_the_random_arm_is_laid_over_its_study(watched: Watch, studies: Path) -> None:
    make(studies)
    arm = MadeUpStudy(studies / "uniform", sampler="random", seed=1)
    arm.add(10)
    with served(studies, ["first", "uniform"]) as server:
        watch = watched()
        page = watch.open(server.link)
        page.locator("#picker", has_text="uniform (random arm)").wait_for()
        for chart in ("front", "volume", "best"):
            page.locator(f"#{chart}-chart .line.series-1").wait_for(state="attached")
        assert page.locator(".key.series-1", has_text="uniform").count() == 2
        page.locator('[aria-label="Overlay uniform"]').click()
        page.locator("#volume-chart .line.series-1").wait_for(state="detached")
        page.locator("#picker button", has_text="uniform").first.click()
        page.locator("#study-name", has_text="uniform").wait_for()
        assert page.locator("#front-chart .line.series-1").count() == 0  # it is no arm of itself
        watch.assert_clean(server.link)


@pytest.mark.parametrize("width", [1280, 390])
def test_labels_of_the_plot_do_not_overlap(watched: Watch, studies: Path, width: int) -> None:
    make(studies)
    with served(studies) as server:
        page = watched(width).open(server.link)
        labels = page.locator(
            "#front-chart .tick, #front-chart .axis-label, #front-chart .vline text, #front-chart .label"
        )
        boxes = [box for box in (label.bounding_box() for label in labels.all()) if box]
        assert len(boxes) > 8
        for index, one in enumerate(boxes):
            assert not [other for other in boxes[:index] if overlap(one, other)]


def overlap(one: dict[str, float], other: dict[str, float]) -> bool:
    return all(
        one[start] < other[start] + other[size] - 1 and other[start] < one[start] + one[size] - 1
        for start, size in (("x", "width"), ("y", "height"))
    )


def test_a_dragged_budget_selects_the_best_under_it(watched: Watch, studies: Path) -> None:
    make(studies)
    source = StudySource(studies / "first")
    source.refresh()
    front = front_of(source)
    with served(studies) as server:
        watch = watched()
        page = watch.open(server.link)
        plane = box_of(page, "#front-chart .plane")
        page.locator("#front-chart .drag").hover(position={"x": 9, "y": 40})
        page.mouse.down()
        page.mouse.move(plane["x"] + plane["width"] * 0.5, plane["y"] + 40, steps=5)
        page.mouse.up()
        page.locator("#front-chart .vline text", has_text="what if").wait_for()
        best = text(page, "#numbers .tile.main strong")
        assert best in {f"{100 * (row.top1 or 0):.2f} %" for row in front}
        page.locator("#details .big", has_text=best).wait_for()
        page.locator("#front-chart .drag").dblclick()
        page.locator("#front-chart .vline text", has_text="budget").wait_for()
        assert text(page, "#numbers .tile.main strong") == f"{100 * (front[-1].top1 or 0):.2f} %"
        watch.assert_clean(server.link)


def test_details_compare_and_links(watched: Watch, studies: Path) -> None:
    make(studies)
    with served(studies) as server:
        watch = watched()
        page = watch.open(f"{server.link}#trial=5")
        page.locator("#details h2", has_text="Trial 5").wait_for()
        page.locator("#details summary").click()
        assert "classifier" in text(page, "#details table.layers")
        page.locator("#filter").fill("complete")
        page.locator("#trials tbody tr").first.click(modifiers=["Shift"])
        page.locator(".compare", has_text="Differences to trial").wait_for()
        with page.expect_download() as download:
            page.locator("button", has_text="Download arch.json").click()
        arch = json.loads(Path(download.value.path()).read_text())
        assert arch["schema_version"] == 1
        page.locator("#front-chart svg").focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_url(re.compile(r"#trial=\d+$"))
        watch.assert_clean(server.link)


def test_downloads_of_plot_and_table(watched: Watch, studies: Path) -> None:
    make(studies)
    with served(studies) as server:
        watch = watched()
        page = watch.open(server.link)
        found = {}
        for kind in ("svg:front", "png:front", "csv", "json"):
            with page.expect_download() as download:
                page.locator(f'[data-save="{kind}"]').click()
            found[kind] = Path(download.value.path()).read_bytes()
        assert found["svg:front"].startswith(b"<svg")
        assert b"#0072b2" in found["svg:front"] or b"rgb(0, 114, 178)" in found["svg:front"]
        assert found["png:front"].startswith(b"\x89PNG")
        assert len(found["csv"].splitlines()) == 39
        assert len(json.loads(found["json"])["trials"]) == 38
        watch.assert_clean(server.link)


def test_several_studies_and_replay(watched: Watch, studies: Path) -> None:
    make(studies)
    make(studies, "second", seed=1)
    with served(studies, ["first", "second"]) as server:
        watch = watched()
        page = watch.open(server.link)
        page.locator('[aria-label="Overlay second"]').click()
        page.locator("#front-chart .line.series-1").wait_for(state="attached")
        page.locator("#replay").fill("10")
        page.locator("#replay-text", has_text="after 10").wait_for()  # drawn with the next frame
        assert text(page, "#replay-text") == "after 10 of 38 trials"
        page.locator("#picker button", has_text="second").click()
        page.locator("#study-name", has_text="second").wait_for()
        watch.assert_clean(server.link)


def test_final_results_are_apart_from_brief_ones(watched: Watch, studies: Path) -> None:
    make(studies)
    with served(studies) as server:
        watch = watched()
        page = watch.open(server.link)
        assert page.locator("#final-card").is_hidden()
        (studies / "first/final").mkdir()
        (studies / "first/final/results.json").write_text(json.dumps(FINAL))
        page.locator("#final-card").wait_for()
        assert "75.00 ± 5.00 %" in text(page, "#final-table")
        assert "65.00 to 85.00 %" in text(page, "#final-table")
        assert "The front of the hand-made networks alone has 25 % of the hypervolume" in text(page, "#final-text")
        assert page.locator("#final-chart .bars").count() > 0
        watch.assert_clean(server.link)


def test_what_studies_are_called_is_text(watched: Watch, studies: Path) -> None:
    evil = "<img src=x onerror=alert(1)>"
    make(studies)
    shutil.move(studies / "first", studies / evil)
    with served(studies) as server:
        watch = watched()
        page = watch.open(server.link)
        page.locator("#filter").fill("failed")
        page.locator("#trials tbody tr").first.click()
        page.locator("#details .reason", has_text="<script>alert(1)</script>").wait_for()
        page.locator("#notice code", has_text="onerror").wait_for()
        assert page.locator("img").count() == 0
        watch.assert_clean(server.link)


def test_an_empty_study_and_a_deleted_one_are_sentences(watched: Watch, studies: Path) -> None:
    study = MadeUpStudy(studies / "first", asked=5)
    with served(studies) as server:
        watch = watched()
        page = watch.open(server.link)
        page.locator("#notice", has_text="No network has been proposed yet").wait_for()
        study.add(1)
        page.locator("#trials tbody tr").wait_for()
        shutil.rmtree(study.folder)
        page.locator("#notice.bad", has_text="last that was read").wait_for()
        assert page.locator("#trials tbody tr").count() == 1


def test_a_study_without_any_accuracy_is_a_sentence(watched: Watch, studies: Path) -> None:
    study = MadeUpStudy(studies / "first")
    study.add(2, "FAIL")
    with served(studies) as server:
        watch = watched()
        page = watch.open(server.link)
        page.locator("#notice", has_text="2 failed, 0 stopped early").wait_for()
        assert text(page, "#numbers .tile.main strong") == "\u2013"
        page.locator("#trials tbody tr").first.click()
        page.locator("#details .reason", has_text="not finite").wait_for()
        watch.assert_clean(server.link)


def test_a_study_that_comes_later_is_found(watched: Watch, studies: Path) -> None:
    StudyFile(schema_version=1, settings=SearchSettings()).write(studies / "recipe")
    with served(studies) as server:
        watch = watched()
        watch.page.goto(server.link)
        watch.page.locator("#notice", has_text="no study here yet").wait_for()
        make(studies)
        watch.page.locator("#study-name", has_text="first").wait_for()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (390, "light")])
def test_nothing_is_cut_off(watched: Watch, studies: Path, width: int, scheme: str) -> None:
    make(studies)
    with served(studies) as server:
        watch = watched(width, scheme)
        page = watch.open(server.link)
        for selector in ("header.top", "#numbers", ".front-card", "#details", "main"):
            box = box_of(page, selector)
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width + 1
        assert box_of(page, ".front-card")["width"] > min(340, width / 2)
        assert page.locator("html").get_attribute("data-theme") == scheme
        page.locator("#theme").click()
        assert page.locator("html").get_attribute("data-theme") != scheme
        watch.assert_clean(server.link)


def test_the_report_works_from_disk(watched: Watch, studies: Path, tmp_path: Path) -> None:
    MadeUpStudy(studies / "first", asked=8).add(8)  # too few for importances, which are tested apart
    MadeUpStudy(studies / "uniform", sampler="random", seed=1).add(4)
    (studies / "first/final").mkdir()
    (studies / "first/final/results.json").write_text(json.dumps(FINAL))
    source = StudySource(studies / "first")
    files = write_report(source, tmp_path / "report")
    assert {"index.html", "front.json", "pareto.csv", "figures/front.svg", "figures/final.pdf"} <= set(files)
    watch = watched()
    page = watch.open((tmp_path / "report/index.html").as_uri())
    assert text(page, "#live") == "Report"
    page.locator("#picker", has_text="uniform (random arm)").wait_for()
    page.locator("#volume-chart .line.series-1").wait_for(state="attached")
    assert "75.00 ± 5.00 %" in text(page, "#final-table")
    assert text(page, '[data-group="front"] .count') == str(len(front_of(source)))
    page.locator("#details summary").wait_for()
    watch.assert_clean((tmp_path / "report").as_uri())
