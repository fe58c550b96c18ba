"""The rooms of the package: few, named unlike what users import, and described as the import rules have them."""

import re
import tomllib
from pathlib import Path

import pytest

import bsconv_nas

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "bsconv_nas"
ROOMS = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()} - {
    "__init__",
    "__main__",
}
MOST_ROOMS = 30
MOST_LINES = 300


def _floors() -> list[set[str]]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [set(layer.split(" : ")) for layer in layers]


def test_the_document_has_the_floors_of_the_import_rules() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = text[text.index("| room | what is there |") :].split("\n\n")[0]
    documented = [set(re.findall(r"`(\w+)`", line.split("|")[1])) for line in table.splitlines()[2:]]
    assert documented == _floors()


def test_every_room_has_a_floor() -> None:
    assert set.union(*_floors()) == ROOMS


def test_rooms_are_few_and_none_is_named_like_a_public_name() -> None:
    assert len(ROOMS) <= MOST_ROOMS
    assert not ROOMS & set(bsconv_nas.__all__)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES
