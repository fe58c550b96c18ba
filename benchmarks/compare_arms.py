"""Real searches of one space side by side: how far each had come after so many trainings, and after so much computing.

    python -m benchmarks.compare_arms studies/cifar10-6M studies/cifar10-6M-random --out studies/cifar10-6M

Measured is the hypervolume of the networks trained so far as a share of that of the best front of all studies together,
with cost on a logarithmic axis and the floor at the least accurate member of that front (`CommonFront`). Accuracies are
those of single brief trainings on the held-out part, as the searches saw them. With `--out`, all trainings are written
to trainings.csv and the comparison to arms.json.
"""

import argparse
import csv
import json
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from bsconv_nas.base.units import format_amount
from bsconv_nas.pareto import CommonFront
from bsconv_nas.study import TrialRecord
from bsconv_nas.study.locate import load_study

TRAININGS = (10, 20, 30, 40, 60, 80)
MINUTES = (20, 40, 60, 80, 100, 120)


class Comparison:
    """Progress of studies with one limit on MACs; `arms` are their trained networks by name, in order of completion."""

    def __init__(self, arms: Mapping[str, Sequence[TrialRecord]], limit: float) -> None:
        self.arms = arms
        every = [record for records in arms.values() for record in records]
        self.front = CommonFront.of(*_points(every), limit)

    def share(self, records: Sequence[TrialRecord]) -> float:
        """Share of the best hypervolume that these networks have."""
        return self.front.share(*_points(records))

    def after_trainings(self, name: str, trainings: int) -> float | None:
        """Share after so many trainings; None where the study has fewer."""
        records = self.arms[name]
        return round(self.share(records[:trainings]), 3) if trainings <= len(records) else None

    def after_minutes(self, name: str, minutes: float) -> float | None:
        """Share after so many minutes of training, all workers together; None where the study took fewer."""
        ends = accumulate(record.seconds / 60 for record in self.arms[name])
        done = next((number for number, end in enumerate(ends) if end > minutes), None)
        return None if done is None else round(self.share(self.arms[name][:done]), 3)

    def best(self, name: str, budget: float) -> float | None:
        """Accuracy of the best network within a budget; None where there is none."""
        return max((_top1(r) for r in self.arms[name] if r.cost["macs"] <= budget), default=None)

    def as_dict(self, budgets: Sequence[float]) -> dict[str, Any]:
        """All of it as plain data."""
        return {
            name: {
                "trainings": len(records),
                "minutes": round(sum(record.seconds for record in records) / 60, 1),
                "after trainings": {str(n): self.after_trainings(name, n) for n in TRAININGS},
                "after minutes": {str(n): self.after_minutes(name, n) for n in MINUTES},
                "end": round(self.share(records), 3),
                "best within": {format_amount(budget): self.best(name, budget) for budget in budgets},
            }
            for name, records in self.arms.items()
        }


def trained(folder: Path) -> list[TrialRecord]:
    """The networks that a study trained to the end, in order of completion."""
    records = [record for record in load_study(str(folder)).records if record.top1 is not None]
    return sorted(records, key=lambda record: (record.completed is None, record.completed, record.number))


def write_trainings(arms: Mapping[str, Sequence[TrialRecord]], path: Path) -> None:
    """One row per training: what was trained, its costs, and the held-out accuracy after each epoch."""
    epochs = max(len(record.curve) for records in arms.values() for record in records)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        curve = [f"val_{epoch}" for epoch in range(1, epochs + 1)]
        writer.writerow(["study", "trial", "network", "macs", "params", "seconds", *curve])
        for name, records in arms.items():
            for record in records:
                costs = [int(record.cost[cost]) for cost in ("macs", "params")]
                accuracies = [f"{result.top1:.4f}" for result in record.curve]
                writer.writerow([name, record.number, record.identity, *costs, f"{record.seconds:.0f}", *accuracies])


def _points(records: Sequence[TrialRecord]) -> tuple[list[float], list[float]]:
    return [record.cost["macs"] for record in records], [_top1(record) for record in records]


def _top1(record: TrialRecord) -> float:
    assert record.top1 is not None, "only trained networks are compared"
    return record.top1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="+", type=Path, help="folders of studies with one limit on MACs")
    parser.add_argument("--out", type=Path, help="folder for trainings.csv and arms.json")
    arguments = parser.parse_args()
    limit = load_study(str(arguments.studies[0])).limits.bounds["macs"]
    arms = {folder.name: trained(folder) for folder in arguments.studies}
    comparison = Comparison(arms, limit).as_dict([limit * part / 6 for part in range(1, 7)])
    print(json.dumps(comparison, indent=1))
    if arguments.out:
        (arguments.out / "arms.json").write_text(json.dumps(comparison, indent=1) + "\n")
        write_trainings(arms, arguments.out / "trainings.csv")


if __name__ == "__main__":
    main()
