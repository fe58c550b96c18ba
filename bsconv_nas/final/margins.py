"""How far the found networks are ahead of the others, budget by budget."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bsconv_nas.base.units import format_amount
from bsconv_nas.statistics.intervals import difference_interval


@dataclass(frozen=True, slots=True)
class Row:
    """One network. Accuracies are fractions; `test_top1` has one per seed, `interval` is the one at 95 %.

    `costs` has all costs that are known of it, by name; of a reference those are MACs and parameters.
    """

    kind: str
    name: str
    trial: int | None
    budget: float | None
    macs: int
    params: int
    brief_val_top1: float | None
    test_top1: list[float]
    mean: float
    std: float
    interval: list[float]
    costs: dict[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class Margin:
    """Mean test accuracy of a found network less that of `other`, a fraction in [-1, 1].

    `half_width` of its 95 % interval is Welch's; None where one of the two has a single training.
    """

    budget: float
    found: str
    kind: str
    other: str
    difference: float
    half_width: float | None

    def __str__(self) -> str:
        """In points: `+4.63 ± 1.84`."""
        interval = "" if self.half_width is None else f" ± {100 * self.half_width:.2f}"
        return f"{100 * self.difference:+.2f}{interval}"


def margins(networks: Sequence[Row]) -> list[Margin]:
    """The margin over the best hand-made, and over the best random network, within each budget that has both.

    The found network is the one that the search held to be best, by its brief training; the other one is the best of
    its kind by test accuracy, which is to its advantage.
    """
    leads: list[Margin] = []
    for budget in sorted({network.budget for network in networks if network.budget is not None}):
        inside = [network for network in networks if network.macs <= budget]
        searched = [network for network in inside if network.kind == "searched"]
        for kind in ("random", "reference"):
            others = [network for network in inside if network.kind == kind]
            if searched and others:
                best = max(searched, key=lambda network: network.brief_val_top1 or 0.0)
                leads.append(_margin(budget, best, max(others, key=lambda network: network.mean)))
    return leads


def markdown(leads: Iterable[Margin]) -> list[str]:
    """Lines of a table."""
    rows = (" | ".join(cells(margin)) for margin in leads)
    return ["| " + " | ".join(HEADERS) + " |", "|---:|---|---|---:|", *(f"| {row} |" for row in rows)]


HEADERS = ("budget", "found", "best other", "lead in points")


def cells(margin: Margin) -> tuple[str, ...]:
    """A row as text, in the order of `HEADERS`."""
    return format_amount(margin.budget), margin.found, margin.other, str(margin)


def _margin(budget: float, searched: Row, other: Row) -> Margin:
    pair = (searched.test_top1, other.test_top1)
    difference, half_width = searched.mean - other.mean, None
    if min(map(len, pair)) > 1:
        difference, half_width = difference_interval(*pair)
    return Margin(budget, searched.name, other.kind, other.name, difference, half_width)
