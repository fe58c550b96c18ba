"""The benchmark of long trainings: which networks it trains, and that a broken-off training goes on."""

from collections import Counter
from pathlib import Path

import pytest

from benchmarks import long_truth
from benchmarks.long_truth import MACS, Candidate, Problem, Trainer, append_row, cifar_problem, plan, read_rows
from bsconv_nas.networks.arch import ArchSpec, BlockSpec, LayerSpec, StemSpec
from bsconv_nas.nn.build import build
from bsconv_nas.train.recipe import Recipe

ARCH = ArchSpec((8, 8), 10, StemSpec(4), (BlockSpec((LayerSpec("U", 8),)),))
SMALL = Candidate("small", "random", 1000, 100, lambda seed: build(ARCH, seed))


def test_a_part_of_the_table_trainings_is_a_fair_sample() -> None:
    candidates = long_truth.table_problem().candidates
    assert len({candidate.name for candidate in candidates}) == 60
    assert Counter(candidate.group for candidate in candidates[:20]) == {"near the front": 10, "random": 10}


def test_cifar_networks_are_of_every_group_and_within_the_budget() -> None:
    candidates = cifar_problem().candidates
    groups = Counter(candidate.group for candidate in candidates)
    assert groups == {
        "front": 12,
        "random": 12,
        "deep with shortcuts": 6,
        "wide without shortcuts": 6,
        "hand-made": 15,
    }
    assert len({candidate.name for candidate in candidates}) == 51
    assert max(candidate.macs for candidate in candidates) <= MACS
    assert {candidate.group for candidate in candidates[:5]} == set(groups)


def test_second_seeds_come_last() -> None:
    seeds = [seed for _, seed in plan([SMALL] * 10)]
    assert seeds == [0] * 10 + [1] * 2


def _problem() -> Problem:
    return Problem([SMALL], lambda epochs, images: Recipe(epochs=epochs, train_fraction=0.1, batch_size=32), 8)


def test_a_training_that_was_broken_off_goes_on_to_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Trainer(_problem(), "digits", tmp_path).row(SMALL, 0, 3)
    epochs = iter(range(10))

    def stop(*_: object, **__: object) -> None:
        if next(epochs) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(long_truth, "print", stop, raising=False)
    with pytest.raises(KeyboardInterrupt):
        Trainer(_problem(), "digits", tmp_path).row(SMALL, 0, 3)
    assert list(tmp_path.iterdir())
    monkeypatch.undo()
    again = Trainer(_problem(), "digits", tmp_path).row(SMALL, 0, 3)
    assert {**again, "seconds": None} == {**whole, "seconds": None}
    assert not list(tmp_path.iterdir())


def test_rows_are_appended_and_read(tmp_path: Path) -> None:
    row = dict.fromkeys(long_truth.HEADER, "1")
    for _ in range(2):
        append_row(tmp_path / "rows.csv", row)
    assert read_rows(tmp_path / "rows.csv") == [row, row]
    assert read_rows(tmp_path / "none.csv") == []
