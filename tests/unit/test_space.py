"""Spaces of a user's own genes: what is accepted, what is refused, and the search for extremes."""

import itertools
import random
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsconv_nas.errors import SpaceError
from bsconv_nas.spaces import genes as space_module
from bsconv_nas.spaces.genes import Choice, Gene, GeneSpace, Genotype, extreme


def _macs(genotype: Genotype) -> dict[str, float]:
    return {"macs": 1.0}


def _space(**genes: Any) -> GeneSpace:
    return GeneSpace(genes, _macs)


@pytest.mark.parametrize(
    ("choices", "ordinal"),
    [
        ([8, 16, 32], True),
        ([0.25, 0.5, 1], True),
        ([7], True),
        ((-1, 0, 1), True),
        ([16, 8], False),
        ([8, 32, 16], False),
        (["a", "b"], False),
        ([1, "b"], False),
        ([False, True], False),
        ([0, 1, True + 1.5], True),
    ],
)
def test_sorted_numbers_are_ordinal(choices: list[Choice], ordinal: bool) -> None:
    assert _space(gene=choices).genes == (Gene("gene", tuple(choices), ordinal),)


def test_numbers_may_be_labels() -> None:
    space = GeneSpace({"a": [1, 2], "b": [1, 2]}, _macs, categorical=["b"])
    assert [gene.ordinal for gene in space.genes] == [True, False]


@pytest.mark.parametrize(
    ("genes", "message"),
    [
        ({}, "no genes"),
        ({"a": []}, "gene 'a' has no choices"),
        ({"a": [1, 1]}, "gene 'a' repeats a choice: 1, 1"),
        ({"a": [1, 1.0]}, "repeats a choice"),
        ({"a": [1, True]}, "repeats a choice"),
        ({"a": [0.0, -0.0]}, "repeats a choice"),
        ({"a": [[1], [2]]}, r"gene 'a' has the choice \[1\]; allowed: text"),
        ({"a": [None]}, "gene 'a' has the choice None"),
        ({"a": [{}, 1]}, "gene 'a' has the choice {}"),
        ({"a": [1.0, float("nan")]}, "gene 'a' has the choice nan"),
        ({"a": [1.0, float("inf")]}, "gene 'a' has the choice inf"),
    ],
)
def test_genes_that_cannot_be_searched_are_refused(genes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        GeneSpace(genes, _macs)


def test_unknown_categorical_names_are_refused() -> None:
    with pytest.raises(SpaceError, match="categorical names an unknown gene 'b'; known: a"):
        GeneSpace({"a": [1, 2]}, _macs, categorical=["b"])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), None, "much", [1.0], 10**400])
def test_costs_that_are_no_finite_numbers_are_refused(value: Any) -> None:
    space = GeneSpace({"a": [1, 2]}, lambda g: {"macs": 1.0, "params": value})
    with pytest.raises(SpaceError, match=r"cost 'params' of \(1,\) is .*; allowed: finite numbers"):
        space.cost((1,))


def test_a_space_has_the_traits_that_it_is_given() -> None:
    assert GeneSpace({"a": [1, 2]}, _macs).traits((1,)) == {}
    assert GeneSpace({"a": [1, 2]}, _macs, traits=lambda g: {"half": g[0] / 2}).traits((1,)) == {"half": 0.5}  # type: ignore[operator]
    space = GeneSpace({"a": [1, 2]}, _macs, traits=lambda g: {"half": float("nan")})
    with pytest.raises(SpaceError, match=r"trait 'half' of \(1,\) is nan; allowed: finite numbers"):
        space.traits((1,))


@pytest.mark.parametrize("value", [None, 3.0, [("macs", 1.0)]])
def test_costs_have_names(value: Any) -> None:
    with pytest.raises(SpaceError, match=r"the cost of \(1,\) is .*'macs'"):
        GeneSpace({"a": [1, 2]}, lambda g: value).cost((1,))


def test_costs_are_floats_of_any_number_type() -> None:
    class Number:
        def __float__(self) -> float:
            return 2.5

    found = GeneSpace({"a": [1, 2]}, lambda g: {"macs": 3, "other": Number()}).cost((1,))  # type: ignore[dict-item]
    assert found == {"macs": 3.0, "other": 2.5}
    assert all(type(value) is float for value in found.values())


@pytest.mark.parametrize(
    "genotype", [(), (1,), (1, "a", True), (3, "a"), (1, "c"), (True, "a"), ("1", "a"), (None, "a")]
)
def test_check_refuses_what_is_not_in_the_space(genotype: tuple[Any, ...]) -> None:
    with pytest.raises(SpaceError):
        _space(one=[1, 2], two=["a", "b"]).check(genotype)


def test_check_returns_the_own_choices_of_the_space() -> None:
    found = _space(one=[1, 2], two=[False, True]).check([1.0, True])
    assert repr(found) == "(1, True)"


@pytest.mark.parametrize(("choices", "wrong"), [([False, True], 1), ([0, 1], True), ([0, 1], 0.5), (["1"], 1)])
def test_a_gene_tells_types_apart_where_they_matter(choices: list[Choice], wrong: Choice) -> None:
    with pytest.raises(SpaceError, match="gene 'a' is .*allowed: " + re.escape(", ".join(map(str, choices)))):
        Gene("a", tuple(choices), False).index(wrong)


def test_params_round_trip() -> None:
    space = _space(one=[1, 2], two=["a", "b"])
    for genotype in space.enumerate():
        assert space.from_params(space.to_params(genotype)) == genotype
    assert space.to_params((2, "a")) == {"one": 2, "two": "a"}
    with pytest.raises(SpaceError, match="lacks gene 'two'; required: one, two"):
        space.from_params({"one": 1})
    with pytest.raises(SpaceError, match="gene 'two' is 'c'"):
        space.from_params({"one": 1, "two": "c"})


GENES = st.dictionaries(
    st.text(min_size=1, max_size=3),
    st.lists(
        st.integers(-5, 5) | st.booleans() | st.text(max_size=2) | st.floats(-9, 9), min_size=1, max_size=4
    ).filter(lambda values: len(set(values)) == len(values)),
    min_size=1,
    max_size=4,
)


@given(GENES)
def test_enumeration_has_the_size_and_no_repeats(genes: dict[str, list[Choice]]) -> None:
    space = GeneSpace(genes, _macs)
    everything = list(space.enumerate())
    assert len(everything) == len(set(everything)) == space.size
    assert len({space.identity(genotype) for genotype in everything}) == space.size


@given(GENES, st.randoms(use_true_random=False))
def test_neighbours_are_all_that_differ_in_one_gene(genes: dict[str, list[Choice]], rng: random.Random) -> None:
    space = GeneSpace(genes, _macs)
    genotype = space.random(rng)
    found = list(space.neighbours(genotype))
    expected = [g for g in space.enumerate() if sum(a != b for a, b in zip(g, genotype, strict=True)) == 1]
    assert set(found) == set(expected)
    assert len(found) == len(expected)


def test_random_genotypes_follow_the_generator_and_reach_everything() -> None:
    space = _space(one=[1, 2, 3], two=["a", "b"])
    first, second = random.Random(1), random.Random(1)
    drawn = [space.random(first) for _ in range(100)]
    assert drawn == [space.random(second) for _ in range(100)]
    assert set(drawn) == set(space.enumerate())


def test_the_fingerprint_follows_the_meaning_of_genotypes() -> None:
    base = _space(one=[1, 2], two=["a", "b"])
    assert base.fingerprint == GeneSpace({"one": [1, 2], "two": ["a", "b"]}, _macs, name="other").fingerprint
    others = [
        _space(one=[1, 3], two=["a", "b"]),
        _space(one=[2, 1], two=["a", "b"]),
        _space(two=["a", "b"], one=[1, 2]),
    ]
    assert len({space.fingerprint for space in (base, *others)}) == 4


@pytest.mark.parametrize("enumerable", [5_000, 0], ids=["enumeration", "descent"])
@pytest.mark.parametrize("sign", [1, -1])
def test_extremes_are_those_of_brute_force(monkeypatch: pytest.MonkeyPatch, enumerable: int, sign: int) -> None:
    monkeypatch.setattr(space_module, "ENUMERABLE", enumerable)
    space = _space(width=[8, 16, 32], depth=[3, 1, 2], kind=["b", "a", "c"])
    factor = {"a": 1.0, "b": 0.5, "c": 2.0}

    def score(g: Genotype) -> float:
        return sign * float(g[0]) ** 2 * float(g[1]) * factor[str(g[2])]

    best = extreme(space, score)
    assert score(best) == min(map(score, itertools.product(*(gene.choices for gene in space.genes))))
    assert best == ((8, 1, "b") if sign == 1 else (32, 3, "c"))
    assert extreme(space, score) == best
