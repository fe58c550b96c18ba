"""After a search: its result as JSON or in print, and what to type next."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bsconv_nas.base.units import format_duration
from bsconv_nas.cli.console import out
from bsconv_nas.cli.run_search import Outcome
from bsconv_nas.cli.tables import front_rows, front_table, percent, record_row
from bsconv_nas.networks.metrics import named_cost
from bsconv_nas.study import TrialRecord


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """The result as plain data."""
    study = outcome.study
    best = study.best()
    return {
        "study": study.name,
        "folder": str(outcome.folder),
        "limits": dict(study.limits.bounds),
        "trials": len(study.records),
        "ended_because": outcome.tally.reason,
        "best": record_row(best) if best else None,
        "front": front_rows(study),
    }


def print_outcome(outcome: Outcome, command: str) -> None:
    """Print the front, the best network, where the study lies and what to type next."""
    study, tally = outcome.study, outcome.tally
    best = study.best()
    if best is not None:
        out.print(front_table(study.front(), best=best.number))
    lines = [
        _best_line(outcome, best),
        f"{tally.counts}; this run took {format_duration(tally.seconds)}",
        f"Study: {outcome.folder}",
    ]
    if tally.reason and not outcome.exhausted:
        lines.append(f"Ended early: {tally.reason}. To continue:\n  {command} --trials {tally.trials}")
    elif best is not None:
        if outcome.exhausted:
            lines.append(f"Ended: {tally.reason}.")
        elif not tally.ran:
            lines.append(f"All {tally.trials} trials asked for were already done; more --trials go on.")
        lines.append(_next_commands(outcome.folder, best, len(study.records), command))
    out.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def command_to_continue(arguments: Sequence[str]) -> str:
    """The command line as typed, without `--trials`, which the next one may set anew."""
    again: list[str] = []
    following = iter(arguments)
    for argument in following:
        if argument == "--trials":
            next(following, None)
        elif not argument.startswith("--trials="):
            again.append(argument)
    return "bsconv-nas " + shlex.join(again)


def _best_line(outcome: Outcome, best: TrialRecord | None) -> str:
    if best is None:
        return "No network has been trained to the end yet."
    limits = outcome.study.limits
    within = f" with {limits}" if limits.bounds else ""
    return (
        f"Best{within}: trial {best.number} ({best.identity}), "
        f"{named_cost('macs', best.cost['macs'])}, val top-1 {percent(best.top1)}"
    )


def _next_commands(folder: Path, best: TrialRecord, trials: int, command: str) -> str:
    study = shlex.quote(str(folder))
    return "\n".join(
        [
            "Next:",
            f"  bsconv-nas front {study}",
            f"  bsconv-nas profile {study} --trial {best.number}",
            f"  bsconv-nas export {study} --trial {best.number} --to {best.identity}",
            f"  {command} --trials {2 * trials}",
        ]
    )
