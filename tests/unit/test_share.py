import itertools

import pytest

from bsconv_nas.base.limits import Limits
from bsconv_nas.spaces.genes import GeneSpace
from bsconv_nas.spaces.share import share_within

SPACE = GeneSpace({f"g{i}": list(range(1, 7)) for i in range(8)}, lambda genotype: {"macs": float(sum(genotype))})


def true_share(bound: int) -> float:
    ways = {0: 1}
    for _ in SPACE.genes:
        counts: dict[int, int] = {}
        for (total, count), choice in itertools.product(ways.items(), range(1, 7)):
            counts[total + choice] = counts.get(total + choice, 0) + count
        ways = counts
    return sum(count for total, count in ways.items() if total <= bound) / 6**8


@pytest.mark.parametrize("bound", [28, 16, 13, 11])  # 0.54, 0.0075, 1 in 1 300 and 1 in 10 000
@pytest.mark.parametrize("seed", range(4))
def test_shares_of_dice_are_right_to_a_factor_of_two(bound: int, seed: int) -> None:
    assert 0.5 < share_within(SPACE, Limits({"macs": bound}), seed) / true_share(bound) < 2


def test_no_network_within_the_limits_is_no_share() -> None:
    assert share_within(SPACE, Limits({"macs": 7}), 0) == 0
    assert share_within(SPACE, Limits(), 0) == 1
