"""Studies of a space of one's own, made in Python, as the command line shows them."""

import csv
import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bsconv_nas.engine.options import SearchOptions
from bsconv_nas.spaces.genes import GeneSpace
from bsconv_nas.study.custom import write_custom_file
from bsconv_nas.study.locate import load_study
from bsconv_nas.study.settings import read_study_file
from tests.custom_studies import GENES, energy_space, search_energy
from tests.e2e.command_line import Called, assert_refused

Call = Callable[..., Called]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the finished study `mine` and its random arm."""
    directory = tmp_path_factory.mktemp("custom")
    search_energy(directory / "arm", sampler="random")
    search_energy(directory / "mine")
    return directory


def test_the_file_says_what_was_searched(directory: Path) -> None:
    file = read_study_file(directory / "mine")
    assert file.name == "energy"
    settings = file.settings
    assert (settings.space, settings.limits, settings.trials, settings.seed) == ("custom", {"energy": 12}, 12, 0)
    assert settings.sampler == file.resolved["sampler"] == "known-cost"
    assert file.resolved["genes"] == GENES
    assert file.resolved["objective"] == "energy"
    assert file.resolved["space_fingerprint"] == energy_space().fingerprint
    assert file.provenance["versions"]["bsconv-nas"]


def test_earlier_readers_take_the_file(directory: Path) -> None:
    # They refuse keys that they do not know: what is new may only stand where any key is allowed.
    known = {"schema_version", "title", "name", "storage", "settings", "resolved", "provenance"}
    data = tomllib.loads((directory / "mine" / "study.toml").read_text())
    assert data["schema_version"] == 1
    assert set(data) <= known
    assert not {"objective", "genes"} & set(data["settings"])


def test_studies_lists_it_with_its_own_cost(directory: Path, call: Call) -> None:
    best = load_study("mine", directory).best()
    assert best is not None
    rows = {row["study"]: row for row in json.loads(call("studies", "list", "--dir", directory, "--json").stdout)}
    assert rows["mine"]["state"] == "finished"
    assert rows["mine"]["objective"] == "energy"
    assert rows["mine"]["best"]["energy"] == best.cost["energy"]
    shown = call("studies", "list", "--dir", directory).stdout
    assert f"{best.cost['energy']:g} energy" in shown
    status = call("studies", "status", "mine", "--dir", directory).stdout
    assert f"at {best.cost['energy']:g} energy (trial {best.number})" in status


def test_front_shows_genes_and_the_objective(directory: Path, call: Call) -> None:
    study = load_study("mine", directory)
    front = study.front()
    assert len(front) > 1
    rows = json.loads(call("front", "mine", "--dir", directory, "--json").stdout)
    assert [row["trial"] for row in rows] == [record.number for record in front]
    assert [row["energy"] for row in rows] == sorted(record.cost["energy"] for record in front)
    assert rows[0]["genes"] == dict(zip(GENES, front[0].genotype, strict=True))
    shown = call("front", "mine", "--dir", directory).stdout
    header, *lines = [line.split() for line in shown.splitlines() if line.strip()]
    assert header == ["trial", "network", "energy", "latency", "val", "top-1", "genes"]
    texts = [f"{name}={choice}" for name, choice in rows[0]["genes"].items()]
    line = next(line for line in lines if line[0] == str(front[0].number))
    assert line[2:5] == [f"{front[0].cost['energy']:g}", f"{front[0].cost['latency_ms']:.2f}", "ms"]
    assert line[-4:] == texts, "names of genes are text, not markup"
    assert "MACs" not in shown


def test_front_is_drawn_over_the_objective(directory: Path, tmp_path: Path, call: Call) -> None:
    assert call("front", "mine", "--dir", directory, "--plot", tmp_path / "front.svg").returncode == 0
    text = (tmp_path / "front.svg").read_text()
    assert ">energy<" in text
    assert "budget 12" in text
    assert "MACs" not in text
    assert call("front", "mine", "--dir", directory, "--plot", tmp_path / "front.html").returncode == 0
    assert '"objective":"energy"' in (tmp_path / "front.html").read_text()


def test_the_report_holds_front_genes_and_the_random_arm(directory: Path, tmp_path: Path, call: Call) -> None:
    done = call("report", "mine", "--dir", directory, "--to", tmp_path)
    assert done.returncode == 0, done.stderr
    front = load_study("mine", directory).front()
    rows = list(csv.DictReader((tmp_path / "pareto.csv").read_text().splitlines()))
    assert [(int(row["trial"]), float(row["energy"])) for row in rows] == [(r.number, r.cost["energy"]) for r in front]
    data = json.loads((tmp_path / "front.json").read_text())
    assert data["objective"] == "energy"
    assert [member["genes"] for member in data["front"]] == [record.genes for record in front]
    page = re.search(r'id="report-data">(.*?)</script>', (tmp_path / "index.html").read_text(), re.DOTALL)
    assert page is not None
    studies = json.loads(page[1])["studies"]
    assert [study["key"] for study in studies] == ["mine", "arm"]
    assert studies[0]["trials"][str(front[0].number)]["genes"] == front[0].genes
    assert "hypervolume (log energy, above chance)" in (tmp_path / "figures" / "progress.svg").read_text()


@pytest.mark.parametrize(
    "arguments",
    [
        ("profile", "mine"),
        ("export", "mine", "--to", "network"),
        ("export", "mine", "--to", "network", "--trial", "1"),
        ("export", "mine", "--to", "network", "--flops", "1M"),
        ("finalize", "mine"),
        ("latency", "mine"),
        ("train", "mine:1"),
    ],
)
def test_verbs_that_need_networks_say_that_there_are_none(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    done = call(*arguments, "--dir", directory)
    assert_refused(done, "study 'energy' has no networks: it searches a space of one's own", "bsconv-nas front")
    assert not list(tmp_path.iterdir())


def test_the_command_line_does_not_search_it(directory: Path, call: Call) -> None:
    done = call("search", "--config", directory / "mine", "--dir", directory)
    assert_refused(done, "the command line cannot search", "bsconv_nas.search(space, evaluate, folder=")


@pytest.mark.parametrize(
    ("name", "words"), [("energy", "holds study 'energy', not 'mine'"), ("mine", "was made with other space")]
)
def test_the_command_line_does_not_take_its_folder(tmp_path: Path, call: Call, name: str, words: str) -> None:
    search_energy(tmp_path / "mine", trials=1, study=name)
    before = (tmp_path / "mine" / "study.toml").read_text()
    done = call("search", "--study", "mine", "--dir", tmp_path, "--trials", "1", "--workers", "0", "--quiet")
    assert_refused(done, words)
    assert (tmp_path / "mine" / "study.toml").read_text() == before


def test_continuing_keeps_the_file_true(tmp_path: Path) -> None:
    search_energy(tmp_path, trials=2)
    search_energy(tmp_path, trials=5, sampler="random")
    file = read_study_file(tmp_path)
    assert (file.settings.trials, file.settings.sampler) == (5, "random")
    assert len(load_study(str(tmp_path)).records) == 5


def test_a_study_from_before_gets_its_file_when_it_is_continued(tmp_path: Path) -> None:
    search_energy(tmp_path / "s", trials=2)
    (tmp_path / "s" / "study.toml").unlink()
    search_energy(tmp_path / "s", trials=3)
    assert len(load_study("s", tmp_path).records) == 3


def test_two_studies_do_not_share_a_folder(tmp_path: Path) -> None:
    search_energy(tmp_path, trials=2)
    with pytest.raises(Exception, match="holds study 'energy', not 'other'; choose another folder") as refused:
        search_energy(tmp_path, trials=2, study="other")
    assert type(refused.value).__name__ == "StudyError"
    assert read_study_file(tmp_path).name == "energy"


def test_no_file_without_a_folder_and_none_before_the_study_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    search_energy(None, trials=1)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
    search_energy(tmp_path / "s", trials=1)
    written = (tmp_path / "s" / "study.toml").read_text()
    with pytest.raises(Exception, match="was made with other seed"):
        search_energy(tmp_path / "s", trials=2, seed=1)
    assert (tmp_path / "s" / "study.toml").read_text() == written


def test_another_storage_is_named_but_no_password(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/elsewhere.db"
    search_energy(tmp_path / "s", trials=1, storage=url)
    assert read_study_file(tmp_path / "s").storage == url
    assert len(load_study("s", tmp_path).records) == 1
    study = search_energy(tmp_path / "s", trials=1, storage=url)
    write_custom_file(study, energy_space(), 1, "random", "postgresql://user:secret@host/studies", {})
    assert "secret" not in (tmp_path / "s" / "study.toml").read_text()


def test_a_gene_of_very_many_choices_does_not_make_the_file_too_large(tmp_path: Path) -> None:
    from bsconv_nas.api import search

    space = GeneSpace({"a": list(range(200_000))}, lambda genotype: {"macs": 1.0 + float(genotype[0])})
    search(space, lambda genotype: 0.5, sampler="random", trials=1, folder=tmp_path)
    assert read_study_file(tmp_path).resolved["genes"] == {"a": ["200000 choices from 0 to 199999"]}


@pytest.mark.parametrize(("facts", "arm"), [({}, True), ({"data": "other"}, False)])
def test_an_arm_stands_on_the_same_facts(tmp_path: Path, facts: dict[str, Any], arm: bool) -> None:
    from bsconv_nas.study.arms import random_arm

    search_energy(tmp_path / "study", trials=1)
    search_energy(tmp_path / "random", trials=1, sampler="random", options=SearchOptions(fixed=facts))
    assert random_arm(tmp_path / "study") == (tmp_path / "random" if arm else None)


def test_an_arm_makes_the_same_cost_low(tmp_path: Path) -> None:
    from bsconv_nas.study.arms import random_arm

    search_energy(tmp_path / "study", trials=1)
    search_energy(tmp_path / "random", trials=1, sampler="random", objective="latency_ms")
    assert random_arm(tmp_path / "study") is None


def test_a_lost_database_is_told_with_what_makes_it_again(tmp_path: Path, call: Call) -> None:
    search_energy(tmp_path / "s", trials=1)
    for file in (tmp_path / "s").glob("study*.db*"):
        file.unlink()
    assert_refused(call("front", "s", "--dir", tmp_path), "no trials yet; run `bsconv_nas.search(space, evaluate,")
