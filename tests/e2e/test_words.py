"""Words on the terminal that readers stumbled over: each says what it means at first reading."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from bsconv_nas.base.limits import Limits
from bsconv_nas.cli.console import hanging
from bsconv_nas.cli.progress import Tally
from bsconv_nas.study import TrialRecord, TrialState
from tests.e2e.command_line import Called

KEY = "U: BSConv-U, S-1/4: BSConv-S with p = 1/4"
TRAINED = TrialRecord(0, TrialState.COMPLETE, (1,), "a", {"macs": 5.0}, 0.5, 0)


def test_the_front_explains_its_layers(studies: Path, call: Callable[..., Called]) -> None:
    assert f"{KEY}, 2U: two in a row, +: shortcut" in call("front", studies / "s").stdout
    assert KEY in call("profile", studies / "s").stdout


def test_a_small_share_of_networks_is_one_in_so_many(call: Callable[..., Called]) -> None:
    def shown(flops: str) -> str:
        return " ".join(call("spaces", "show", "quick", "--flops", flops).stdout.split()).split(" MACs; ")[1]

    assert shown("200k").startswith("58.2 % of random ones have macs <= 200k")
    assert shown("33.3k").startswith("about 1 in 6 000 random ones has macs <= 33.3k")
    assert shown("31k").startswith("fewer than 1 in 1 000 000 random ones have macs <= 31.0k")


def test_smaller_images_are_told_in_pixels(tmp_path: Path, call: Callable[..., Called]) -> None:
    options = ("--trials", "1", "--epochs", "2", "--small-first", "0.5", "--workers", "0", "--dir", tmp_path)
    assert "2 epochs (the first with images shrunk to 6x6), batch" in call("search", *options).stderr


@pytest.mark.parametrize(
    ("avoided", "told"),
    [
        ({}, "1 trained, 0 failed"),
        (
            {"known": 2, "over_limit": 3},
            "1 trained, 0 failed, 5 proposals replaced before training (3 over a limit, 2 repeated)",
        ),
    ],
)
def test_only_replaced_proposals_are_told(avoided: dict[str, int], told: str) -> None:
    assert Tally(Console(), 1, Limits(), [replace(TRAINED, avoided=avoided)]).counts == told


def test_long_lines_of_the_header_go_on_below_their_text() -> None:
    header = "Space     quick: 58.2 % of random ones have macs <= 200k\nStudy     studies/a-name-that-is-never-broken"
    assert hanging(header, 40).splitlines() == [
        "Space     quick: 58.2 % of random ones",
        "          have macs <= 200k",
        "Study     studies/a-name-that-is-never-broken",
    ]
    assert hanging(header, 80) == header
