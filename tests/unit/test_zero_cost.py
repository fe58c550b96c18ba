"""The benchmark of numbers that need no training: they are finite, follow from the seed, and predict what they say."""

import math

import pytest
import torch

from benchmarks.tables.table import Table, arch_of, table_space
from benchmarks.zero_cost import SCORES, agreement

NETWORKS = list(table_space().enumerate())


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("number", [0, 1, 575])
def test_a_score_is_a_number_that_follows_from_the_seed(name: str, number: int) -> None:
    batch = torch.rand(16, 3, 16, 16, generator=torch.Generator().manual_seed(0)), torch.arange(16) % 10
    one, same, other = (SCORES[name](arch_of(NETWORKS[number]), batch, seed) for seed in (0, 0, 1))
    assert math.isfinite(one)
    assert one == same != other


def test_a_trait_that_knows_everything_predicts_better() -> None:
    table, networks = Table.read(), NETWORKS[::6]
    knowing = {genotype: 5 * (table.unseen_top1(genotype) - 0.3) for genotype in networks}
    without, with_it = (agreement(table, networks, trait, 15, draws=2) for trait in (None, knowing))
    assert all(better > worse for better, worse in zip(with_it, without, strict=True))
