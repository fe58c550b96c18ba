"""How accuracy follows traits: the regression, what is expected against the table, predictions from few networks."""

import math
import random

import pytest

from benchmarks import accuracy_traits
from benchmarks.accuracy_traits import measure, of_table, slopes
from bsconv_nas import search
from bsconv_nas.networks.traits import EXPECTED
from bsconv_nas.spaces.files import find_space
from bsconv_nas.spaces.genes import Genotype
from bsconv_nas.spaces.networks import ArchSpace

SPACE = ArchSpace(find_space("cifar"), (32, 32), 10)


def error_of(genotype: Genotype) -> float:
    traits = SPACE.traits(genotype)
    return math.exp(0.2 * sum(slope * traits[name] for name, slope in EXPECTED.items()))


def test_slopes_of_errors_that_follow_traits_exactly() -> None:
    rng = random.Random(0)
    networks = [SPACE.random(rng) for _ in range(60)]
    pairs = [(SPACE.traits(genotype), 1 - 0.5 * error_of(genotype)) for genotype in networks]
    found = slopes(pairs)
    assert found["explained"] == 1
    ratios = [found[name][0] / slope for name, slope in EXPECTED.items()]
    assert ratios == pytest.approx([ratios[0]] * len(ratios), rel=0.02)


@pytest.mark.parametrize("part", ["most MACs", "up to the median", "lowest quarter"])
def test_the_table_agrees_with_what_is_expected(part: str) -> None:
    found = slopes(of_table()[part])
    for name, expected in EXPECTED.items():
        slope, error = found[name]
        assert slope * expected > 0, name
        assert 0.4 < slope / expected < 2.5 or abs(slope - expected) < 3 * error, (name, slope)


def test_expectations_help_to_predict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accuracy_traits, "SIZES", (4,))
    monkeypatch.setattr(accuracy_traits, "DRAWS", 3)
    searches = [
        search(SPACE, lambda g: 1 - 0.5 * error_of(g), {"macs": 6e6}, "random", trials=14, seed=seed) for seed in (0, 1)
    ]
    found = measure(searches[:1], searches[1:], 6e6)
    assert {"table, most MACs", "studies", "of", "all"} <= found["slopes"].keys()
    for where in ("the others", "of"):
        nothing, expected = (found["predictions"][label][where][4][0] for label in ("nothing", "as set"))
        assert expected > nothing + 0.3
