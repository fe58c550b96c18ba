"""A study of a space of one's own on the page: what the server answers, and what a browser shows."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bsconv_nas.study.locate import load_study
from tests.browser.serving import served
from tests.custom_studies import search_energy

Watch = Callable[..., Any]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("custom")
    search_energy(directory / "arm", sampler="random")
    search_energy(directory / "mine")
    return directory


def test_rows_details_and_the_random_arm_are_served(directory: Path) -> None:
    study = load_study("mine", directory)
    best = study.best()
    assert best is not None
    with served(directory) as server:
        listed = {row["key"]: row["arm"] for row in server.json("/api/studies")}
        assert listed == {"mine": "arm", "arm": None}
        snapshot = server.json("/api/snapshot?study=mine")
        assert snapshot["facts"]["objective"] == "energy"
        assert list(snapshot["facts"]["genes"]) == list(best.genes)
        assert [row[-1] for row in snapshot["rows"]] == [record.cost["energy"] for record in study.all_records]
        assert snapshot["standing"]["resume"].startswith("bsconv_nas.search(space, evaluate, folder=")
        trial = server.json(f"/api/trial?study=mine&number={best.number}")
        assert trial["genes"] == best.genes
        assert trial["cost"] == dict(best.cost)
        assert (trial["layers"], trial["arch"], trial["commands"]) == ([], None, {})
        assert server.json(f"/api/choices?study=mine&numbers={best.number}") == {str(best.number): []}
        assert set(server.json("/api/importance?study=mine")) <= set(best.genes)


def test_the_page_shows_costs_and_genes_by_their_names(watched: Watch, directory: Path) -> None:
    study = load_study("mine", directory)
    front = study.front()
    best = front[-1]
    with served(directory, ["mine"]) as server:
        watch = watched()
        page = watch.open(server.link)
        numbers = page.locator("#numbers").inner_text()
        assert f"{100 * (best.top1 or 0):.2f} %" in numbers
        assert "within 12 energy" in numbers
        assert "energy of the best" in numbers.lower()
        assert page.locator("#front-title").inner_text() == "Accuracy versus energy"
        assert page.locator('[data-group="front"] .count').inner_text() == str(len(front))
        assert page.locator("[data-cost]:visible").all_inner_texts() == ["Energy", "Latency"]
        assert "budget 12" in page.locator("#front-chart .vline text").text_content()
        heads = page.locator("#trials th").all_inner_texts()
        assert "Energy" in heads
        assert not {"MACs", "Params"} & set(heads)
        page.locator("#details h2", has_text=f"Trial {best.number}").wait_for()
        for name, choice in best.genes.items():
            row = page.locator("#details table.layers tr").filter(has=page.get_by_text(name, exact=True))
            assert row.locator("td").last.inner_text() == json.dumps(choice).strip(chr(34))
        page.locator("#trials tbody tr").nth(1).click(modifiers=["Shift"])
        page.locator(".compare", has_text="Energy").wait_for()
        page.locator('[data-cost="latency_ms"]').click()
        page.locator("#front-title", has_text="Accuracy versus latency").wait_for()
        watch.assert_clean(server.link)


def test_costs_of_zero_and_less_are_on_a_linear_axis(watched: Watch, tmp_path: Path) -> None:
    import bsconv_nas

    space = bsconv_nas.GeneSpace({"a": [1, 2, 3, 4, 5]}, lambda genotype: {"gain": 2.0 - float(genotype[0])})
    bsconv_nas.search(space, lambda genotype: 1 - float(genotype[0]) / 10, trials=5, folder=tmp_path / "s")
    with served(tmp_path) as server:
        watch = watched()
        page = watch.open(server.link)
        assert "-3" in page.locator("#front-chart .tick").all_text_contents()
        assert page.locator('[data-group="front"] .count').inner_text() == "5"
        watch.assert_clean(server.link)


def test_studies_of_other_costs_are_not_laid_over_each_other(watched: Watch, tmp_path: Path) -> None:
    search_energy(tmp_path / "slow", trials=3, objective="latency_ms")
    search_energy(tmp_path / "mine", trials=3)
    with served(tmp_path) as server:
        page = watched().open(f"{server.link}#study=mine")
        page.get_by_role("button", name="Overlay energy").click()
        page.locator("#notice", has_text="slow makes another cost low (latency)").wait_for()
        assert page.locator("#progress-legend").is_hidden()


def test_the_report_of_a_page_works_from_disk(watched: Watch, directory: Path, tmp_path: Path) -> None:
    from bsconv_nas.dashboard.source import StudySource
    from bsconv_nas.report.page import write_report

    write_report(StudySource(directory / "mine"), tmp_path / "report")
    data = json.loads((tmp_path / "report" / "front.json").read_text())
    watch = watched()
    page = watch.open((tmp_path / "report" / "index.html").as_uri())
    assert page.locator('[data-group="front"] .count').inner_text() == str(len(data["front"]))
    watch.assert_clean("file://")
