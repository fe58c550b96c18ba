"""How costs are named, written and put in columns: as their rows of `METRICS` say.

A space of one's own may have costs without a row: those are called by their name, and are in milliseconds where it
ends in `_ms`.
"""

from collections.abc import Iterable
from typing import Any

from bsconv_nas.base.units import format_amount
from bsconv_nas.networks.cost import METRICS, Cost, LayerCost, Metric


def metric_of(cost: str) -> Metric:
    """The row of a cost, with its `name` filled in."""
    if cost in METRICS:
        metric = METRICS[cost]
        return metric if metric.name else metric._replace(name=cost)
    if cost.endswith("_ms"):
        name = cost.removesuffix("_ms")
        return Metric(f"{name} (ms)", name=name, unit="ms")
    return Metric(cost, name=cost)


def cost_name(cost: str) -> str:
    """The short name of a cost, for headings: `MACs`."""
    return metric_of(cost).name


def cost_label(cost: str) -> str:
    """What the axis of a figure says."""
    metric = metric_of(cost)
    return metric.caption or metric.label


def format_cost(cost: str, value: float) -> str:
    """An amount of a cost without its name.

    >>> format_cost("latency_ms", 2.5), format_cost("macs", 12_988_938), format_cost("peak_activation", 2_560)
    ('2.50 ms', '13.0M', '2.56kB')
    """
    unit = metric_of(cost).unit
    if unit == "ms":
        return f"{value:.2f} ms"
    return format_amount(value) + ("B" if unit == "bytes" else "")


def named_cost(cost: str, value: float) -> str:
    """An amount of a cost with its name: `13.0M MACs`."""
    return f"{format_cost(cost, value)} {cost_name(cost)}"


def exact_cost(cost: str, value: float) -> str:
    """As `format_cost`, but amounts without a unit in full: `12,988,938`."""
    return f"{value:,.12g}" if metric_of(cost).unit == "amount" else format_cost(cost, value)


def in_order(costs: Iterable[str], objective: str = "macs") -> list[str]:
    """Names of costs, each once: the one that a search makes low, those of `METRICS`, then any others."""
    known = dict.fromkeys(costs)
    return list(dict.fromkeys(cost for cost in (objective, *METRICS, *known) if cost in known))


def cost_columns(costs: Iterable[str], objective: str = "macs") -> list[str]:
    """Names of the costs that are columns, in their order."""
    return [cost for cost in in_order(costs, objective) if cost == objective or metric_of(cost).column]


def captions(costs: Iterable[str]) -> list[str]:
    """What is said of these columns below a table."""
    return [caption for cost in costs if (caption := metric_of(cost).caption)]


def layer_costs(layer: LayerCost) -> dict[str, float]:
    """The costs of one layer alone, by name."""
    return Cost.of((layer,)).as_dict()


def descriptions(costs: Iterable[str], objective: str = "macs") -> list[dict[str, Any]]:
    """What a page needs to show costs: for each its `id`, `name`, `label`, `unit`, and whether it is a `column`."""
    ordered = in_order(costs, objective)
    shown = cost_columns(ordered, objective)
    return [
        {"id": cost, "name": metric.name, "label": metric.label, "unit": metric.unit, "column": cost in shown}
        for cost in ordered
        for metric in [metric_of(cost)]
    ]
