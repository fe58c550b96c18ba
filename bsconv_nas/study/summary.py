"""A study and its trials in one line, as a table for a notebook, and as columns of a data frame."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from bsconv_nas.base.html_table import html_table
from bsconv_nas.base.limits import Limits
from bsconv_nas.base.units import counted
from bsconv_nas.networks.metrics import cost_name, format_cost, in_order, named_cost
from bsconv_nas.study.fronts import front_of
from bsconv_nas.study.records import TrialRecord

_MOST_ROWS = 50


def record_columns(record: TrialRecord) -> dict[str, Any]:
    """A trial by column of `Study.to_dataframe`."""
    return {
        "trial": record.number,
        "state": str(record.state),
        "identity": record.identity,
        "top1": record.top1,
        "seconds": record.seconds,
        "worker": record.worker,
        "reason": record.reason,
        **record.cost,
        **record.genes,
    }


def study_line(name: str, records: Sequence[TrialRecord], limits: Limits, objective: str) -> str:
    """Name, number of trials by state, and the best network within the limits, in one line."""
    states = Counter(str(record.state) for record in records)
    counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    parts = [counted(len(records), "trial") + (f" ({counts})" if counts else "")]
    if limits.bounds:
        parts.append(f"limits {limits}")
    front = front_of(records, limits, objective)
    if front:
        best = front[-1]
        parts.append(f"best {best.top1:.4f} at {named_cost(objective, best.cost[objective])} (trial {best.number})")
    return f"Study {name!r}: {', '.join(parts)}"


def study_html(name: str, records: Sequence[TrialRecord], limits: Limits, objective: str) -> str:
    """The front as a table: trial, accuracy, costs, and the genes of a space of one's own or the network's name."""
    front = front_of(records, limits, objective)
    shown = front[-_MOST_ROWS:]
    left_out = f"; the last {_MOST_ROWS} of {len(front)} on the front" if len(front) > _MOST_ROWS else ""
    costs = in_order((name for record in shown for name in record.cost), objective)
    own_space = any(record.arch is None for record in shown)
    genes = list(shown[0].genes) if own_space else ["network"]
    rows = [
        [
            record.number,
            f"{record.top1:.4f}",
            *(format_cost(cost, record.cost[cost]) if cost in record.cost else "" for cost in costs),
            *(record.genotype if own_space else [record.identity]),
        ]
        for record in shown
    ]
    headers = ["trial", "top-1", *map(cost_name, costs), *genes]
    return html_table(study_line(name, records, limits, objective) + left_out, headers, rows)
