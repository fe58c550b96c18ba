"""Figures for papers and slides: for each a function that returns plain data, and one that draws it to a file."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bsconv_nas.base.units import format_amount
from bsconv_nas.errors import UsageError
from bsconv_nas.networks.metrics import cost_label, cost_name, format_cost
from bsconv_nas.pareto import CostAxis, front_indices, hypervolume
from bsconv_nas.study.rows import Row

FORMATS = (".svg", ".png", ".pdf")

# Of the palette of Okabe and Ito, safe for colour-blind readers.
_BLUE, _ORANGE, _PURPLE, _GOLD, _GREY = "#0072b2", "#c44e00", "#a2478b", "#b07c00", "#8a94a3"
_KINDS = {"reference": "hand-made", "random": "of a random search"}
_STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _GREY,
    "axes.grid": True,
    "grid.color": "#e2e6eb",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "bsconv-nas",
    "legend.frameon": False,
}


def front_data(title: str, limits: Mapping[str, float], rows: Iterable[Row], objective: str = "macs") -> dict[str, Any]:
    """Points of the accuracy-versus-cost plot: front, dominated and early-stopped networks, and the budget.

    `objective` names the cost that the rows have as their `objective`.
    """
    rows = list(rows)
    complete = [row for row in rows if row.top1 is not None and row.allowed]
    members = front_indices([row.objective for row in complete], [row.top1 or 0.0 for row in complete])
    front = [complete[i] for i in members]
    chosen = {row.number for row in front}
    stopped = [row for row in rows if row.state == "stopped" and row.latest is not None]
    return {
        "title": title,
        "cost": objective,
        "budget": limits.get(objective),
        "front": [_point(row, row.top1) for row in front],
        "dominated": [_point(row, row.top1) for row in complete if row.number not in chosen],
        "stopped": [_point(row, row.latest) for row in stopped],
    }


def progress_data(
    limits: Mapping[str, float],
    rows: Iterable[Row],
    floor: float = 0.0,
    arm: Iterable[Row] = (),
    objective: str = "macs",
) -> list[dict[str, Any]]:
    """Hypervolume and best accuracy after each finished trial.

    `volume` is the share, from 0 to 1, of the area between `floor` and an accuracy of 1 and, on a logarithmic axis,
    between the cheapest complete network and the limit on the cost `objective` (without one: the largest complete
    network); with `arm`, the rows of a study to compare with, the cheapest and largest of both.
    """
    rows = list(rows)
    costs = [row.objective for row in (*rows, *arm) if row.top1 is not None and row.allowed]
    if not costs:
        return []
    axis = CostAxis(min(costs), limits.get(objective, max(costs)))
    done = sorted((row for row in rows if row.completed is not None), key=lambda row: (row.completed, row.number))
    front: list[Row] = []
    steps: list[dict[str, Any]] = []
    for count, row in enumerate(done, 1):
        if row.top1 is not None and row.allowed:
            front = _joined(front, row)
        accuracies = [member.top1 or 0.0 for member in front]
        area = hypervolume([axis.position(member.objective) for member in front], accuracies, 1.0, floor)
        steps.append({"count": count, "volume": area / (1 - floor), "best": max(accuracies, default=None)})
    return steps


def final_data(results: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Points of the full trainings by kind (searched, random, reference), from what `results.json` holds."""
    points: dict[str, list[dict[str, Any]]] = {}
    for row in results["rows"]:
        low, high = row["interval"]
        point = {"name": row["name"], "macs": row["macs"], "top1": row["mean"], "low": low, "high": high}
        points.setdefault(row["kind"], []).append(point)
    return points


def draw_front(data: Mapping[str, Any], path: Path) -> None:
    """Draw `front_data` to a file; its suffix says the format.

    Raises:
        UsageError: another suffix than `FORMATS`.
    """
    with _figure(path) as figure:
        axes = figure.add_subplot()
        _scatter(axes, data["dominated"], "dominated", marker="o", color=_GREY, s=14, alpha=0.55, linewidths=0)
        _scatter(axes, data["stopped"], "stopped early", marker="v", facecolors="none", edgecolors=_GOLD, s=20)
        _draw_front_line(axes, data)
        if data["budget"] is not None:
            axes.axvline(data["budget"], color=_ORANGE, linestyle="--", linewidth=1.2)
            label = f"budget {format_cost(data['cost'], data['budget'])} "
            at = (data["budget"], 0.02)
            axes.annotate(label, at, xycoords=("data", "axes fraction"), ha="right", va="bottom", color=_ORANGE)
        if all(point["cost"] > 0 for name in ("front", "dominated", "stopped") for point in data[name]):
            _scale_cost(axes)
        axes.set(title=data["title"], xlabel=_plain(cost_label(data["cost"])), ylabel="validation top-1 (%)")
        if axes.get_legend_handles_labels()[1]:
            axes.legend(loc="upper left")


def draw_final(data: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> None:
    """Draw `final_data` to a file: 95 % intervals, the front of each kind, the name of its most accurate network.

    The axis is made for the means: the interval of a network whose trainings differ a lot may leave it.

    Raises:
        UsageError: another suffix than `FORMATS`.
    """
    styles = {"reference": ("D", _PURPLE), "random": ("s", _GOLD), "searched": ("o", _BLUE)}
    with _figure(path) as figure:
        axes = figure.add_subplot()
        for kind, (marker, color) in styles.items():
            points = data.get(kind, [])
            if not points:
                continue
            y = [100 * point["top1"] for point in points]
            bars = [[100 * abs(point["top1"] - point[end]) for point in points] for end in ("low", "high")]
            macs = [point["macs"] for point in points]
            front = front_indices(macs, y)
            label = f"{_KINDS.get(kind, kind)}, best: {points[front[-1]]['name']}"
            axes.errorbar(macs, y, bars, fmt=marker, color=color, markersize=5, capsize=3, linewidth=1.1, label=label)
            axes.step([macs[i] for i in front], [y[i] for i in front], where="post", color=color, alpha=0.5)
        _scale_cost(axes)
        means = [100 * point["top1"] for points in data.values() for point in points]
        margin = 0.06 * (max(means) - min(means)) + 1
        axes.set_ylim(min(means) - margin, max(means) + margin)
        axes.set(xlabel=cost_label("macs"), ylabel="test top-1 after full training (%)")
        axes.legend(loc="lower right")


def draw_progress(
    steps: Sequence[Mapping[str, Any]],
    path: Path,
    arm: Sequence[Mapping[str, Any]] | None = None,
    objective: str = "macs",
) -> None:
    """Draw `progress_data` to a file, beside that of a random `arm`; the file's suffix says the format.

    Raises:
        UsageError: another suffix than `FORMATS`.
    """
    series = {"search": (steps, _BLUE, "-"), "random search": (arm or [], _GOLD, "--")}
    with _figure(path) as figure:
        one, two = figure.subplots(1, 2)
        for name, (steps, color, line) in series.items():
            counts = [step["count"] for step in steps]
            best = [math.nan if step["best"] is None else 100 * step["best"] for step in steps]
            style = {"where": "post", "color": color, "linestyle": line, "label": name}
            one.step(counts, [step["volume"] for step in steps], **style)
            two.step(counts, best, **style)
        one.set(xlabel="finished trials", ylabel=f"hypervolume (log {_plain(cost_name(objective))}, above chance)")
        two.set(xlabel="finished trials", ylabel="best validation top-1 in the budget (%)")
        if arm:
            two.legend(loc="lower right")


def check_format(path: Path, more: Sequence[str] = ()) -> None:
    """Refuse suffixes that cannot be drawn.

    Raises:
        UsageError: not one of `FORMATS` or `more`.
    """
    allowed = (*more, *FORMATS)
    if path.suffix.lower() not in allowed:
        raise UsageError(f"cannot draw to {path.name!r}; the file's name must end in {', '.join(allowed)}")


class _figure:  # noqa: N801
    """A matplotlib figure that is written when the block ends; nothing is shown and no global state is left."""

    def __init__(self, path: Path) -> None:
        check_format(path)
        import matplotlib
        from matplotlib.figure import Figure

        self.path = path
        self._context = matplotlib.rc_context(_STYLE)  # pyright: ignore[reportArgumentType]
        self._make = Figure

    def __enter__(self) -> Any:
        self._context.__enter__()
        self.figure = self._make(figsize=(7.2, 4.2), layout="constrained")
        return self.figure

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            if kind is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                # No date in the file: the same study gives the same bytes.
                dates = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
                self.figure.savefig(self.path, dpi=200, metadata=dates.get(self.path.suffix.lower()))
        finally:
            self._context.__exit__(None, None, None)


def _draw_front_line(axes: Any, data: Mapping[str, Any]) -> None:
    points = data["front"]
    if not points:
        return
    x = [point["cost"] for point in points]
    y = [100 * point["top1"] for point in points]
    end = max(data["budget"] or x[-1], x[-1])
    axes.step([*x, end], [*y, y[-1]], where="post", color=_BLUE, linewidth=1.8)
    axes.plot(x, y, "o", color=_BLUE, markersize=6, markeredgecolor="white", label="front")
    best = f"{y[-1]:.2f} % at {format_cost(data['cost'], x[-1])}"
    axes.annotate(best, (x[-1], y[-1]), xytext=(-9, 4), textcoords="offset points", ha="right", weight="bold")


def _scatter(axes: Any, points: Sequence[Mapping[str, Any]], label: str, **style: Any) -> None:
    if points:
        axes.scatter([p["cost"] for p in points], [100 * p["top1"] for p in points], label=label, **style)


def _scale_cost(axes: Any) -> None:
    """Make the axis of costs logarithmic, which costs of 0 or less do not allow."""
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: _short(value))
    axes.xaxis.set_minor_formatter(lambda value, _: _minor_label(axes, value))


def _minor_label(axes: Any, value: float) -> str:
    low, high = axes.get_xlim()
    digit = round(value / 10 ** math.floor(math.log10(value)))
    wanted = (2, 5) if high / low > 8 else (2, 3, 5, 7) if high / low > 3 else range(1, 10)
    return _short(value) if digit in wanted else ""


def _short(value: float) -> str:
    """An amount without zeros after the point: 2M."""
    return re.sub(r"\.(\d*?)0+(?=\D|$)", lambda match: match[1] and f".{match[1]}", format_amount(value))


def _plain(text: str) -> str:
    """Text that Matplotlib does not take for a formula."""
    return text.replace("$", r"\$")


def _joined(front: list[Row], row: Row) -> list[Row]:
    together = [*front, row]
    chosen = front_indices([r.objective for r in together], [r.top1 or 0.0 for r in together])
    return [together[i] for i in chosen]


def _point(row: Row, top1: float | None) -> dict[str, Any]:
    return {"trial": row.number, "arch_id": row.identity, "cost": row.objective, "top1": top1}
