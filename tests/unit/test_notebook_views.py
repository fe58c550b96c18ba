"""What Python and notebooks print for a study, a space and a trial."""

import re
from pathlib import Path

import pytest

import bsconv_nas
from bsconv_nas.api import search
from bsconv_nas.spaces.files import find_space
from bsconv_nas.spaces.genes import GeneSpace
from bsconv_nas.spaces.networks import ArchSpace
from tests.custom_studies import GENES, energy_space, search_energy


def cells(html: str, tag: str) -> list[str]:
    return re.findall(f"<{tag}>(.*?)</{tag}>", html)


def test_a_space_is_one_line_and_a_table_of_genes() -> None:
    space = GeneSpace({"<i>": ["a", "b"], "width": list(range(100))}, lambda genotype: {"macs": 1.0}, name="<mine>")
    assert repr(space) == "GeneSpace '<mine>': 2 genes, 200 networks"
    html = space._repr_html_()
    assert "GeneSpace &#x27;&lt;mine&gt;&#x27;" in html
    assert cells(html, "td")[:3] == ["&lt;i&gt;", "a, b", "no"]
    assert cells(html, "td")[3:] == ["width", "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ... 99 (100 choices)", "yes"]


def test_a_space_larger_than_any_float_has_a_size() -> None:
    space = GeneSpace({f"g{i}": list(range(10)) for i in range(400)}, lambda genotype: {"macs": 1.0})
    assert repr(space) == "GeneSpace 'custom': 400 genes, 1.000e+400 networks"


def test_a_space_of_networks_says_so() -> None:
    text = repr(ArchSpace(find_space("cifar"), (32, 32), 10))
    assert re.fullmatch(r"ArchSpace 'cifar': \d+ genes, \d\.\d+e\+\d+ networks", text)


def test_a_study_is_one_line_and_a_table_of_its_front(tmp_path: Path) -> None:
    study = search_energy(tmp_path)
    best = study.best()
    assert best is not None
    assert repr(study) == (
        f"Study 'energy': 12 trials (12 complete), limits energy <= 12, "
        f"best {best.top1:.4f} at {best.cost['energy']:g} energy (trial {best.number})"
    )
    html = study._repr_html_()
    assert cells(html, "th") == ["trial", "top-1", "energy", "latency", "width", "depth", "&lt;b&gt;[red]", "wide"]
    rows = html.split("<tbody>")[1].split("</tr>")[:-1]
    assert [cells(row, "td")[0] for row in rows] == [str(record.number) for record in study.front()]
    assert cells(rows[-1], "td")[4:] == [str(choice) for choice in best.genotype]
    assert repr(best).startswith(f"TrialRecord {best.number}: complete, top1 {best.top1:.4f}, ")
    assert repr(best).endswith(", ".join(f"{n}={c!r}" for n, c in zip(GENES, best.genotype, strict=True)))


def test_a_study_without_trials_and_one_whose_file_is_gone_are_still_one_line(tmp_path: Path) -> None:
    study = search(energy_space(), lambda genotype: 2.0, trials=1, folder=tmp_path, objective="energy")
    assert repr(study) == "Study 'energy': 1 trial (1 failed)"
    assert cells(study._repr_html_(), "td") == []
    loaded = bsconv_nas.load_study(str(tmp_path))
    (tmp_path / "study.db").write_bytes(b"not a database" * 1000)
    text = repr(loaded)
    assert text.startswith("Study 'energy': ")
    assert "\n" not in text


def test_a_record_of_a_network_names_it(studies: Path) -> None:
    record = bsconv_nas.load_study("s", studies).records[0]
    assert repr(record).endswith(f"; {record.identity}")
    assert len(repr(record)) < 200


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from benchmarks.made_up_study import MadeUpStudy

    directory = tmp_path_factory.mktemp("studies")
    MadeUpStudy(directory / "s").add(2)
    return directory
