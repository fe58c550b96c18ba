"""The front of a study as an interactive Plotly figure, for notebooks and scripts."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bsconv_nas.base.units import MACS_LABEL, format_amount
from bsconv_nas.study import Study, TrialRecord, TrialState

if TYPE_CHECKING:
    import plotly.graph_objects as go

_BLUE, _GREY, _ORANGE = "#0072b2", "#8a94a3", "#c44e00"  # of Okabe and Ito's palette, safe for colour-blind readers


def plot_front(study: Study) -> "go.Figure":
    """Accuracy versus MACs: the front as a step line, the other complete networks, and the budget.

    Works in a study of one's own space too; costs are then whatever its `macs` are.
    """
    import plotly.graph_objects as go

    front = study.front()
    members = {record.number for record in front}
    others = [r for r in study.records if r.state is TrialState.COMPLETE and r.number not in members]
    figure = go.Figure(
        [
            _points(others, "dominated", mode="markers", marker={"color": _GREY, "size": 7}),
            _points(front, "front", mode="lines+markers", line={"shape": "hv", "color": _BLUE}, marker={"size": 9}),
        ]
    )
    budget = study.limits.bounds.get("macs")
    if budget is not None:
        figure.add_vline(x=budget, line_dash="dash", line_color=_ORANGE)
        # On a logarithmic axis Plotly places lines by value, but annotations by its logarithm.
        label = f"budget {format_amount(budget)}"
        figure.add_annotation(x=math.log10(budget), y=1, yref="paper", text=label, showarrow=False, xanchor="right")
    figure.update_layout(title=study.name, template="plotly_white", yaxis_title="validation top-1 (%)")
    figure.update_xaxes(type="log", title=MACS_LABEL)
    return figure


def _points(records: Sequence[TrialRecord], name: str, **style: Any) -> "go.Scatter":
    import plotly.graph_objects as go

    return go.Scatter(
        name=name,
        x=[record.cost["macs"] for record in records],
        y=[100 * (record.top1 or 0.0) for record in records],
        text=[f"trial {record.number} ({record.identity})" for record in records],
        hovertemplate="%{text}<br>%{x:.4s} MACs<br>%{y:.2f} %<extra></extra>",
        **style,
    )
