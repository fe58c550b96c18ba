"""The table of a final comparison, as data, Markdown and CSV."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from bsconv_nas.base.files import write_atomic
from bsconv_nas.base.units import format_amount
from bsconv_nas.final import margins
from bsconv_nas.final.contestants import Contestant
from bsconv_nas.final.margins import Row
from bsconv_nas.final.records import FinalRecord
from bsconv_nas.networks.metrics import captions, cost_columns, cost_name, format_cost
from bsconv_nas.pareto import CommonFront
from bsconv_nas.statistics.intervals import binomial_interval, mean_interval

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class FinalResults:
    """What `results.json` holds.

    `rank_correlation` is Spearman's, of brief and full accuracy; None below 3 networks. `reference_share` is the share
    that the hand-made networks alone have of the hypervolume of all networks (see `CommonFront`), with MACs up to twice
    the largest; None without networks of both kinds. `margins` tell how far the found networks are ahead.
    """

    epochs: int
    seeds: list[int]
    data: str
    rank_correlation: float | None
    reference_share: float | None
    margins: list[margins.Margin]
    rows: list[Row]

    def to_dict(self) -> dict[str, object]:
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}

    def to_csv(self) -> str:
        """One row per network with a header; accuracies of the seeds are separated by spaces."""
        stream = io.StringIO()
        costs = [name for name in columns_of(self.rows) if name not in ("macs", "params")]
        rows: list[dict[str, Any]] = [
            {**asdict(row), "test_top1": " ".join(f"{v:.6f}" for v in row.test_top1)} for row in self.rows
        ]
        for row in rows:
            row["interval_low"], row["interval_high"] = row.pop("interval")
            known = row.pop("costs")
            row |= {name: known.get(name, "") for name in costs}
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return stream.getvalue()

    def to_markdown(self) -> str:
        """The tables with a caption that says how they were made."""
        costs = columns_of(self.rows)
        titles = headers(costs)
        lines = ["| " + " | ".join(titles) + " |", "|---|---|" + "---:|" * (len(titles) - 2)]
        lines += ["| " + " | ".join(cells(row, costs)) + " |" for row in self.rows]
        if self.margins:
            lines += ["", *margins.markdown(self.margins)]
        return "\n".join([*lines, "", *self.notes()]) + "\n"

    def notes(self) -> list[str]:
        """What a reader of the table must know, in lines."""
        count = len(self.seeds)
        interval = "over the test images" if count == 1 else f"Student's, over {count} seeds"
        wide = ", which is wide for so few" if 1 < count < 5 else ""
        notes = [
            f"{self.data}; every network trained for {self.epochs} epochs by the same recipe; the epoch kept is the "
            "best by validation, and the test part was read once, after all trainings. "
            f"Interval: 95 %, {interval}{wide}."
        ]
        if any(margin.half_width is not None for margin in self.margins):
            notes.append(
                "Differences: of the network that the search held to be best and the best other one by test accuracy; "
                "95 % interval of Welch's."
            )
        if self.rank_correlation is not None:
            notes.append(f"Rank correlation of brief and full accuracy (Spearman): {self.rank_correlation:.2f}.")
        if self.reference_share is not None:
            notes.append(
                f"The front of the hand-made networks alone has {100 * self.reference_share:.0f} % of the hypervolume "
                "of the front of all networks here (accuracy over MACs on a logarithmic axis)."
            )
        return [*notes, *(f"{caption}." for caption in captions(columns_of(self.rows)))]

    def write(self, folder: Path) -> None:
        """Write results.json, results.md and results.csv.

        Raises:
            StorageError: the folder cannot be written.
        """
        write_atomic(folder / "results.md", self.to_markdown())
        write_atomic(folder / "results.csv", self.to_csv())
        write_atomic(folder / "results.json", json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")


def columns_of(rows: Iterable[Row]) -> list[str]:
    """Names of the costs that are columns: MACs, parameters, and others that are known of any network."""
    return cost_columns(("macs", "params", *(name for row in rows for name in row.costs)))


def headers(costs: Iterable[str]) -> list[str]:
    """Headings of the table, with those of its costs (see `columns_of`)."""
    return ["", "network", "budget", *map(cost_name, costs), "brief val", "test top-1", "95 % interval"]


def cells(row: Row, costs: Iterable[str]) -> list[str]:
    """A row as text, in the order of `headers`."""
    deviation = f" ± {100 * row.std:.2f}" if len(row.test_top1) > 1 else ""
    low, high = row.interval
    known = {"macs": row.macs, "params": row.params, **row.costs}
    return [
        row.kind,
        row.name,
        format_amount(row.budget) if row.budget is not None else "",
        *(format_cost(name, known[name]) if name in known else "" for name in costs),
        "" if row.brief_val_top1 is None else f"{100 * row.brief_val_top1:.2f} %",
        f"{100 * row.mean:.2f}{deviation} %",
        f"{100 * low:.2f} to {100 * high:.2f} %",
    ]


def summarise(
    contestants: Sequence[Contestant], records: Sequence[FinalRecord], epochs: int, seeds: Sequence[int], data: str
) -> FinalResults:
    """The results of trainings that are tested; a contestant of which every training failed is left out."""
    rows: list[Row] = []
    for contestant in contestants:
        trainings = sorted((r for r in records if r.name == contestant.name), key=lambda record: record.seed)
        if trainings:
            rows.append(_row(contestant, trainings))
    ahead = margins.margins(rows)
    return FinalResults(epochs, list(seeds), data, _rank_correlation(rows), _reference_share(rows), ahead, rows)


def _row(contestant: Contestant, records: Sequence[FinalRecord]) -> Row:
    tested = [record.test_top1 for record in records if record.test_top1 is not None]
    several = len(tested) > 1
    interval = mean_interval(tested) if several else binomial_interval(tested[0], records[0].test_images)
    return Row(
        kind=contestant.kind,
        name=contestant.name,
        trial=contestant.trial,
        budget=contestant.budget,
        macs=contestant.macs,
        params=contestant.params,
        brief_val_top1=contestant.brief_val_top1,
        test_top1=tested,
        mean=fmean(tested),
        std=stdev(tested) if several else 0.0,
        interval=list(interval),
        costs={"macs": contestant.macs, "params": contestant.params, **contestant.costs},
    )


def _reference_share(rows: Sequence[Row]) -> float | None:
    references = [row for row in rows if row.kind == "reference"]
    if len(references) in (0, len(rows)):
        return None
    # The axis ends at twice the largest cost; a network at the end of the axis would add no hypervolume.
    limit = 2 * max(max(row.macs, row.budget or 0) for row in rows)
    front = CommonFront.of([row.macs for row in rows], [row.mean for row in rows], limit)
    return front.share([row.macs for row in references], [row.mean for row in references])


def _rank_correlation(rows: Sequence[Row]) -> float | None:
    pairs = [(row.brief_val_top1, row.mean) for row in rows if row.brief_val_top1 is not None]
    brief, full = {pair[0] for pair in pairs}, {pair[1] for pair in pairs}
    if len(pairs) < 3 or len(brief) < 2 or len(full) < 2:  # undefined where one side is constant
        return None
    from scipy.stats import spearmanr

    correlation: Any = spearmanr([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    return float(correlation.statistic)
