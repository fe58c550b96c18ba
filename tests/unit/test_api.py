"""The arguments of `search`: what is allowed, and what is said of the rest."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from bsconv_nas.api import search
from bsconv_nas.engine.options import SearchOptions
from bsconv_nas.errors import UsageError
from bsconv_nas.spaces.genes import GeneSpace
from bsconv_nas.study.locate import load_study
from bsconv_nas.study.settings import read_study_file


@pytest.mark.parametrize(
    ("keyword", "message"),
    [
        ("study_name", r"no argument 'study_name'; write search\(\.\.\., study=\.\.\.\)"),
        ("epochs", r"'epochs', it is an option; write search\(\.\.\., options=SearchOptions\(epochs=\.\.\.\)\)"),
        ("early_stopping", r"options=SearchOptions\(early_stopping=\.\.\.\)"),
        ("trails", "no argument 'trails'; did you mean 'trials'"),
        ("unknown", "no argument 'unknown'; known: data, evaluate, "),
    ],
)
def test_keywords_that_search_does_not_have_are_refused(space: GeneSpace, keyword: str, message: str) -> None:
    wrong: dict[str, Any] = {keyword: "none"}
    with pytest.raises(UsageError, match=message):
        search(space, evaluate=lambda g: 0.5, trials=1, **wrong)


def test_every_option_has_a_default_and_a_description() -> None:
    assert SearchOptions.__doc__
    for field in fields(SearchOptions):
        assert f"        {field.name}: " in SearchOptions.__doc__
    assert SearchOptions() == SearchOptions(references=True, fixed={})


def test_study_is_the_name_of_the_study_and_continues_it(space: GeneSpace, tmp_path: Path) -> None:
    for trials in (2, 3):
        result = search(space, evaluate=lambda g: 0.5, trials=trials, study="mine", folder=tmp_path)
        assert (result.name, len(result.records)) == ("mine", trials)
    assert search(space, evaluate=lambda g: 0.5, trials=1).name == space.name


@pytest.mark.parametrize("wrong", ["", 3, Path("studies/mine")])
def test_a_study_that_is_no_name_is_refused(space: GeneSpace, wrong: Any) -> None:
    with pytest.raises(UsageError, match=r"study is .*; allowed: the name of a study"):
        search(space, evaluate=lambda g: 0.5, trials=1, study=wrong)


def test_a_search_on_images_is_known_to_the_commands(tmp_path: Path) -> None:
    folder, options = tmp_path / "mine", SearchOptions(epochs=1)
    limits: dict[str, float | str] = {"macs": "60k"}
    study = search(
        "quick", None, limits, "random", trials=1, study="mine", data="digits", folder=folder, options=options
    )
    file = read_study_file(folder)
    assert (file.name, file.settings.trials, file.settings.sampler, file.settings.epochs) == ("mine", 1, "random", 1)
    assert file.resolved["space"] == "quick"
    assert load_study("mine", tmp_path).records == study.records
