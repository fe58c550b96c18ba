"""The interactive figure of a front."""

import math
import sys
import tomllib
import types
from pathlib import Path

import pytest

from bsconv_nas import plot_front
from bsconv_nas.api import search
from bsconv_nas.spaces.genes import GeneSpace
from tests.custom_studies import search_energy
from tests.searches import LIMITS, table_space, table_top1


def test_the_figure_shows_front_others_and_budget() -> None:
    study = search(table_space(), table_top1, LIMITS, "random", 12)
    figure = plot_front(study)
    others, front = figure.data
    assert list(front.x) == [record.cost["macs"] for record in study.front()]
    assert list(front.y) == [100 * (record.top1 or 0) for record in study.front()]
    assert len(others.x) + len(front.x) == 12
    assert front.line.shape == "hv"
    assert figure.layout.shapes[0].x0 == LIMITS["macs"]
    assert figure.layout.annotations[0].x == math.log10(LIMITS["macs"])
    assert figure.layout.xaxis.type == "log"
    assert "<div" in figure.to_html(include_plotlyjs=False)


def test_the_figure_follows_the_objective(tmp_path: Path) -> None:
    study = search_energy(tmp_path)
    figure = plot_front(study)
    assert list(figure.data[1].x) == [record.cost["energy"] for record in study.front()]
    assert figure.layout.xaxis.title.text == "energy"
    assert figure.layout.shapes[0].x0 == 12
    assert figure.layout.annotations[0].text == "budget 12"
    assert "%{x:.4s} energy<br>" in figure.data[1].hovertemplate


def test_costs_of_zero_and_less_have_a_linear_axis() -> None:
    space = GeneSpace({"a": [1, 2, 3]}, lambda genotype: {"gain": 2.0 - float(genotype[0])})
    figure = plot_front(search(space, lambda genotype: 0.5, limits={"gain": 1}, trials=3))
    assert figure.layout.xaxis.type == "linear"
    assert figure.layout.annotations[0].x == 1


@pytest.mark.parametrize(
    ("in_a_notebook", "installed", "warned"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_a_notebook_without_nbformat_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, in_a_notebook: bool, installed: bool, warned: bool
) -> None:
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    if in_a_notebook:
        monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    monkeypatch.setattr("bsconv_nas.report.notebook.find_spec", lambda name: object() if installed else None)
    study = search(table_space(), table_top1, LIMITS, "random", 2)
    if warned:
        with pytest.warns(UserWarning, match=r"pip install 'bsconv-nas\[notebook\]'"):
            plot_front(study)
    else:
        plot_front(study)  # a warning would be an error


def test_the_extra_that_is_named_exists() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert [name.split(">")[0] for name in project["optional-dependencies"]["notebook"]] == ["nbformat"]
