"""Figures: for each a function that returns plain data, and one that draws it."""

import math
from typing import Any

from bsconv_nas.study import Study, TrialState
from bsconv_nas.units import MACS_LABEL

_BLUE, _GREY = "#0072b2", "#8c8c8c"  # of the palette of Okabe and Ito, safe for colour-blind readers


def front_data(study: Study) -> dict[str, Any]:
    """Points of the accuracy-versus-MACs plot: front and dominated networks, and the budget."""
    front = study.front()
    members = {record.number for record in front}
    complete = [record for record in study.records if record.state is TrialState.COMPLETE]
    rest = [record for record in complete if record.number not in members]
    return {
        "title": study.name,
        "budget": study.limits.bounds.get("macs"),
        "front": [_point(r.number, r.identity, r.cost["macs"], r.top1) for r in front],
        "dominated": [_point(r.number, r.identity, r.cost["macs"], r.top1) for r in rest],
    }


def draw_front(data: dict[str, Any]) -> str:
    """The plot as one HTML page that works from disk."""
    import plotly.graph_objects as go

    figure = go.Figure(
        [
            _scatter("dominated", data["dominated"], mode="markers", marker={"color": _GREY, "size": 7}),
            _scatter(
                "front", data["front"], mode="lines+markers", marker={"color": _BLUE, "size": 9}, line={"shape": "hv"}
            ),
        ]
    )
    if data["budget"] is not None:
        figure.add_vline(x=data["budget"], line_dash="dash")
        # On a logarithmic axis lines are placed by value, but annotations by its logarithm.
        figure.add_annotation(x=math.log10(data["budget"]), y=1, yref="paper", text="budget", showarrow=False)
    figure.update_layout(
        title=data["title"],
        template="plotly_white",
        xaxis={"type": "log", "title": MACS_LABEL},
        yaxis={"title": "validation top-1 (%)"},
    )
    return figure.to_html(include_plotlyjs=True)


def _point(number: int, identity: str, macs: float, top1: float | None) -> dict[str, Any]:
    return {"trial": number, "arch_id": identity, "macs": macs, "val_top1": top1}


def _scatter(name: str, points: list[dict[str, Any]], **style: Any) -> Any:
    import plotly.graph_objects as go

    return go.Scatter(
        name=name,
        x=[point["macs"] for point in points],
        y=[100 * point["val_top1"] for point in points],
        text=[f"trial {point['trial']} ({point['arch_id']})" for point in points],
        hovertemplate="%{text}<br>%{x:.4s} MACs<br>%{y:.2f} %<extra></extra>",
        **style,
    )
