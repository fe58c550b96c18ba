"""The front of a study as an interactive Plotly figure, for notebooks and scripts."""

import math
import sys
import warnings
from collections.abc import Sequence
from html import escape
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from bsconv_nas.networks.metrics import cost_label, cost_name, format_cost
from bsconv_nas.study import Study, TrialRecord, TrialState

if TYPE_CHECKING:
    import plotly.graph_objects as go

_BLUE, _GREY, _ORANGE = "#0072b2", "#8a94a3", "#c44e00"  # of Okabe and Ito's palette, safe for colour-blind readers


def plot_front(study: Study) -> "go.Figure":
    """Accuracy versus the cost that the search makes low: the front, the other complete networks, and the budget.

    The front is a step line, and the cost usually MACs (see `Study.objective`). Works for a space of one's own too.
    In a notebook, Plotly needs nbformat to show the figure: `pip install 'bsconv-nas[notebook]'`.
    """
    import plotly.graph_objects as go

    _warn_without_nbformat()
    front = study.front()
    members = {record.number for record in front}
    others = [r for r in study.records if r.state is TrialState.COMPLETE and r.number not in members]
    line = {"shape": "hv", "color": _BLUE}
    figure = go.Figure(
        [
            _points(study, others, "dominated", mode="markers", marker={"color": _GREY, "size": 7}),
            _points(study, front, "front", mode="lines+markers", line=line, marker={"size": 9}),
        ]
    )
    budget = study.limits.bounds.get(study.objective)
    positive = all(record.cost[study.objective] > 0 for record in (*front, *others))
    if budget is not None:
        figure.add_vline(x=budget, line_dash="dash", line_color=_ORANGE)
        # On a logarithmic axis Plotly places lines by value, but annotations by its logarithm.
        label = f"budget {format_cost(study.objective, budget)}"
        at = math.log10(budget) if positive else budget
        figure.add_annotation(x=at, y=1, yref="paper", text=label, showarrow=False, xanchor="right")
    figure.update_layout(title=study.name, template="plotly_white", yaxis_title="validation top-1 (%)")
    figure.update_xaxes(type="log" if positive else "linear", title=_text(cost_label(study.objective)))
    return figure


def _points(study: Study, records: Sequence[TrialRecord], name: str, **style: Any) -> "go.Scatter":
    import plotly.graph_objects as go

    return go.Scatter(
        name=name,
        x=[record.cost[study.objective] for record in records],
        y=[100 * (record.top1 or 0.0) for record in records],
        text=[f"trial {record.number} ({record.identity})" for record in records],
        hovertemplate="%{text}<br>%{x:.4s} " + _text(cost_name(study.objective)) + "<br>%{y:.2f} %<extra></extra>",
        **style,
    )


def _warn_without_nbformat() -> None:
    """Say in a notebook what Plotly is going to miss: its own error does not tell how to get it."""
    if "ipykernel" in sys.modules and find_spec("nbformat") is None:
        warnings.warn(
            "Plotly needs nbformat to show this figure in a notebook; run `pip install 'bsconv-nas[notebook]'`",
            stacklevel=3,
        )


def _text(name: str) -> str:
    """A name as Plotly shows it: as it is, and not as markup."""
    return escape(name, quote=False)
