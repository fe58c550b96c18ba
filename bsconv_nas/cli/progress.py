"""What a running search shows: a live view on a terminal, one plain line per trial elsewhere."""

import time
from collections import Counter
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bsconv_nas.base.limits import Limits
from bsconv_nas.base.units import format_duration
from bsconv_nas.cli.tables import front_table, percent
from bsconv_nas.evaluation import EpochResult
from bsconv_nas.networks.metrics import named_cost
from bsconv_nas.study import Front, TrialRecord, TrialState
from bsconv_nas.study.objective import DEFAULT_OBJECTIVE

_FRONT_ROWS = 8


class Tally:
    """What the views show: counts, the front, the best network and the time to go. An observer of the search."""

    def __init__(self, console: Console, trials: int, limits: Limits, earlier: list[TrialRecord]) -> None:
        self.console = console
        self.trials = trials
        self.limits = limits
        self.records = list(earlier)
        self._front = Front(limits, earlier)
        self._states = Counter(record.state for record in earlier)
        self._avoided = sum((_avoided(record) for record in earlier), Counter[str]())
        self.running: dict[int, tuple[TrialRecord, EpochResult | None]] = {}
        self.reason: str | None = None
        self._done_before = len(earlier)
        self._started = time.monotonic()

    def started(self, record: TrialRecord, resumed: bool) -> None:
        self.running[record.number] = record, None

    def reported(self, record: TrialRecord, result: EpochResult) -> None:
        self.running[record.number] = record, result

    def finished(self, record: TrialRecord) -> None:
        self.running.pop(record.number, None)
        self.records.append(record)
        self._front.add(record)
        self._states[record.state] += 1
        self._avoided += _avoided(record)

    def ended(self, reason: str | None) -> None:
        self.reason = reason

    @property
    def ran(self) -> bool:
        """Whether any trial ended in this run."""
        return len(self.records) > self._done_before

    @property
    def front(self) -> list[TrialRecord]:
        """Complete trials within the limits that no other dominates, by rising MACs."""
        return self._front.members

    @property
    def counts(self) -> str:
        """How many networks were trained, stopped early and failed, and how many proposals were replaced untrained."""
        states, known, over = self._states, self._avoided["known"], self._avoided["over_limit"]
        parts = [f"{states[TrialState.COMPLETE]} trained"]
        if states[TrialState.STOPPED]:
            parts.append(f"{states[TrialState.STOPPED]} stopped early")
        parts.append(f"{states[TrialState.FAILED]} failed")
        if over + known:
            parts.append(f"{over + known} proposals replaced before training ({over} over a limit, {known} repeated)")
        return ", ".join(parts)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    @property
    def seconds_left(self) -> float | None:
        """Time to go at the pace of this run; None before its first trial is done."""
        done = len(self.records) - self._done_before
        return self.seconds / done * (self.trials - len(self.records)) if done else None


def _avoided(record: TrialRecord) -> Counter[str]:
    return Counter(record.avoided or {})


def _cost(record: TrialRecord) -> str:
    return named_cost(DEFAULT_OBJECTIVE, record.cost[DEFAULT_OBJECTIVE])


class PlainView(Tally):
    """One line per finished trial."""

    def finished(self, record: TrialRecord) -> None:
        super().finished(record)
        best = percent(self.front[-1].top1) if self.front else "-"
        what = percent(record.top1) if record.top1 is not None else (record.reason or record.state).splitlines()[0]
        self.console.print(
            f"[{len(self.records)}/{self.trials}] trial {record.number} {record.state}: "
            f"{_cost(record)}, {what}, {format_duration(record.seconds)} (best {best})",
            markup=False,
            highlight=False,
        )


class LiveView(Tally):
    """A progress bar, counts, running trials and the front, redrawn in place."""

    def __init__(self, console: Console, trials: int, limits: Limits, earlier: list[TrialRecord]) -> None:
        super().__init__(console, trials, limits, earlier)
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.stop()

    def _render(self) -> RenderableType:
        return Group(self._bar(), Text(self.counts), Text(self._running_line(), style="dim"), self._front_table())

    def _bar(self) -> Table:
        left = self.seconds_left
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            ProgressBar(total=self.trials, completed=len(self.records), width=32),
            f"{len(self.records)}/{self.trials}",
            f"{format_duration(self.seconds)} elapsed",
            f"about {format_duration(left)} left" if left is not None else "",
        )
        return bar

    def _running_line(self) -> str:
        parts: list[str] = []
        for record, result in list(self.running.values()):
            state = f"epoch {result.epoch}/{result.epochs} {percent(result.top1)}" if result else "starting"
            parts.append(f"trial {record.number} ({_cost(record)}): {state}")
        return "   ".join(parts) or "starting workers"

    def _front_table(self) -> RenderableType:
        front = self.front
        if not front:
            return Text("no network trained yet", style="dim")
        step = max(1, len(front) / _FRONT_ROWS)
        shown = [front[len(front) - 1 - round(i * step)] for i in range(min(len(front), _FRONT_ROWS))][::-1]
        return front_table(shown, best=front[-1].number)
