"""The files beside the code that tools and services read: each is what its reader takes, and agrees with the code."""

import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

import bsconv_nas

ROOT = Path(__file__).parents[2]
CI = (ROOT / ".ci/run").read_text()


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def test_hooks_are_the_lint_of_ci() -> None:
    lint = CI.split('step "Lint, types, import rules"')[1].split("\nstep ")[0]
    commands = [line for line in lint.strip().splitlines() if not line.startswith(".venv/bin/pip")]
    hooks = [hook for repo in read(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    assert [hook["entry"] for hook in hooks] == commands
    assert all(hook["language"] == "system" and not hook["pass_filenames"] for hook in hooks)


def test_the_workflow_runs_ci_on_the_oldest_and_the_newest_python() -> None:
    (job,) = read(".github/workflows/ci.yml")["jobs"].values()
    assert job["steps"][-1] == {"run": ".ci/run"}
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    versions = [c.split(":: ")[-1] for c in classifiers if re.search(r"Python :: 3\.\d+$", c)]
    assert job["strategy"]["matrix"]["python"] == [versions[0], versions[-1]]


@pytest.mark.parametrize("form", ["bug", "feature"])
def test_issue_forms_have_what_the_service_asks_for(form: str) -> None:
    text = read(f".github/ISSUE_TEMPLATE/{form}.yml")
    assert text["name"]
    assert text["description"]
    assert len({part["id"] for part in text["body"]}) == len(text["body"])
    for part in text["body"]:
        assert part["type"] in ("textarea", "input", "checkboxes")
        assert part["attributes"]["label"]
    assert any(part.get("validations", {}).get("required") for part in text["body"])


def test_version_and_date_are_told_once() -> None:
    citation = read("CITATION.cff")
    released = re.search(r"^## (\d+\.\d+\.\d+) - (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert released is not None
    assert citation["version"] == released[1] == bsconv_nas.__version__
    assert citation["date-released"] == date.fromisoformat(released[2])


def test_the_citation_is_of_the_format_and_names_the_paper() -> None:
    citation = read("CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(citation)
    (paper,) = citation["references"]
    assert paper["type"] == "conference-paper"
    assert [author["family-names"] for author in paper["authors"]] == ["Haase", "Amthor"]
    assert paper["year"] == 2020


def test_the_picture_of_the_floors_is_that_of_the_import_rules() -> None:
    picture = (ROOT / "CONTRIBUTING.md").read_text().split("```text\n")[1].split("```")[0]
    drawn = [set(re.split(r" {2,}", line[14:49].strip())) for line in picture.splitlines()]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    assert drawn == [set(layer.split(" : ")) for layer in layers]
