"""Repair and novelty over a space whose costs are known."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsconv_nas.base.limits import Limits
from bsconv_nas.base.units import parse_amount
from bsconv_nas.errors import BudgetError, SpaceExhaustedError, UsageError
from bsconv_nas.samplers.feasible import Feasible
from bsconv_nas.spaces.files import find_space
from bsconv_nas.spaces.genes import GeneSpace
from bsconv_nas.spaces.networks import ArchSpace
from tests.searches import LIMITS, table_cost, table_space
from tests.strategies import gene_spaces

SPACE = table_space()
FEASIBLE = Feasible(SPACE, Limits(LIMITS))
QUICK = ArchSpace(find_space("quick"), (8, 8), 10)
TIGHT = Feasible(QUICK, Limits({"macs": 60_000.0, "params": 8_000.0}))


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_repaired_networks_are_within_the_limits(seed: int, other: int) -> None:
    repaired = TIGHT.repair(QUICK.random(random.Random(seed)), random.Random(other))
    assert TIGHT.contains(repaired)
    assert QUICK.canonical(repaired) == repaired


@given(gene_spaces(), st.integers(0, 1000))
def test_repair_changes_no_gene_in_vain(made: tuple[GeneSpace, Limits], seed: int) -> None:
    space, limits = made
    feasible = Feasible(space, limits)
    genotype = space.random(random.Random(seed))
    repaired = feasible.repair(genotype, random.Random(seed))
    assert feasible.contains(repaired)
    for position, (old, new) in enumerate(zip(genotype, repaired, strict=True)):
        assert new in (old, feasible.cheapest[position])
    if feasible.contains(genotype):
        assert repaired == genotype


def test_repair_keeps_all_it_can() -> None:
    genotype = (48, 3, "U", True)  # 5860 MACs: one gene suffices
    for seed in range(20):
        repaired = FEASIBLE.repair(genotype, random.Random(seed))
        changed = [a for a, b in zip(genotype, repaired, strict=True) if a != b]
        assert len(changed) == 1


@given(gene_spaces(), st.integers(0, 1000), st.data())
def test_novel_networks_are_new_and_within_the_limits(
    made: tuple[GeneSpace, Limits], seed: int, data: st.DataObject
) -> None:
    space, limits = made
    feasible = Feasible(space, limits)
    within = [g for g in space.enumerate() if feasible.contains(g)]
    known = {space.identity(g) for g in within if data.draw(st.booleans())}
    start = within[seed % len(within)]
    if len(known) == len(within):
        assert feasible.exhausted(known)
        with pytest.raises(SpaceExhaustedError, match="already known"):
            feasible.novel(start, known, random.Random(seed))
        return
    assert not feasible.exhausted(known)
    found = feasible.novel(start, known, random.Random(seed))
    assert feasible.contains(found)
    assert space.identity(found) not in known
    if space.identity(start) not in known:
        assert found == start


def test_novel_networks_are_near() -> None:
    start = (24, 2, "S", False)
    found = FEASIBLE.novel(start, {SPACE.identity(start)}, random.Random(0))
    assert sum(a != b for a, b in zip(start, found, strict=True)) == 1


@pytest.mark.parametrize("limits", [{"macs": 159.0}, {"macs": 1e9, "params": 15.0}, {"macs": 0.001}])
def test_a_budget_that_nothing_fits_names_the_cheapest_network(limits: dict[str, float]) -> None:
    with pytest.raises(BudgetError) as caught:
        Feasible(SPACE, Limits(limits))
    assert "no network of space 'table' is within" in str(caught.value)
    assert SPACE.identity((8, 1, "S", False)) in str(caught.value)


@given(gene_spaces(), st.floats(0.01, 0.999))
def test_the_budget_that_the_error_advises_suffices(made: tuple[GeneSpace, Limits], share: float) -> None:
    space, _ = made
    least = min(space.cost(g)["macs"] for g in space.enumerate())
    with pytest.raises(BudgetError) as caught:
        Feasible(space, Limits({"macs": least * share}))
    advised = str(caught.value).partition("allow macs at least ")[2].partition(",")[0]
    Feasible(space, Limits({"macs": parse_amount(advised)}))


def test_unknown_limits_are_refused() -> None:
    with pytest.raises(UsageError, match="unknown cost 'latency'"):
        Feasible(SPACE, Limits({"latency": 5}))


def test_costs_of_the_table_are_as_the_tests_think() -> None:
    within = [g for g in SPACE.enumerate() if table_cost(g)["macs"] <= LIMITS["macs"]]
    assert (SPACE.size, len(within)) == (60, 58)
