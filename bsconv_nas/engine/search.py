"""The decisions of a search: which network next, what a result means, when to end. Knows no executor and no torch."""

import time
from collections.abc import Iterable
from enum import Enum
from typing import Protocol

from bsconv_nas.engine.deadlines import EpochDeadlines
from bsconv_nas.engine.early_stopping import StoppingRule
from bsconv_nas.errors import SpaceExhaustedError
from bsconv_nas.evaluation import EpochResult, Evaluator, Job
from bsconv_nas.samplers import SpaceSampler
from bsconv_nas.spaces.genes import ENUMERABLE, GeneSpace
from bsconv_nas.study import Study, TrialRecord


class Verdict(Enum):
    """What to do with a running trial."""

    CONTINUE = "continue"
    STOP = "stop"  # early stopping: the trial ends here
    SUSPEND = "suspend"  # the search ends: the trial stays resumable


class Observer(Protocol):
    """Is told what happens in a search, in the driver's thread."""

    def started(self, record: TrialRecord, resumed: bool) -> None: ...

    def reported(self, record: TrialRecord, result: EpochResult) -> None: ...

    def finished(self, record: TrialRecord) -> None: ...

    def ended(self, reason: str | None) -> None: ...


class JobQueue(Protocol):
    """What an executor drives: hands out jobs and takes their results. `Search` is one.

    Each job that `next` gives gets the results of its epochs by `report` (after a resumption also those it already
    had), and then one end: `finish`, `fail`, or a verdict other than CONTINUE.
    """

    @property
    def suspended(self) -> bool:
        """Whether running jobs are to be left for a later run."""
        ...

    def suspend(self, reason: str) -> None:
        """Start no more jobs, and leave running ones resumable."""
        ...

    def next(self) -> Job | None:
        """The next job; None when no more are to be started."""
        ...

    def report(self, number: int, result: EpochResult) -> Verdict:
        """Take the result of an epoch."""
        ...

    def finish(self, number: int) -> None:
        """End a job after its last result."""
        ...

    def fail(self, number: int, reason: str) -> None:
        """End a job that cannot be finished."""
        ...


class Search:
    """One run of a search over a study: the `JobQueue` of its trials.

    A trial's life: `next` gives its job, `report` takes the result of each epoch (again, after a resumption: the same
    epoch twice does no harm), and exactly one of `finish`, `fail` and a verdict of STOP ends it. A trial that gets no
    end stays running in the study, and the next run takes it up under its number.

    Args:
        study: where trials are stored.
        space: the search space.
        sampler: proposes networks.
        trials: number of trials the study is to have, those of earlier runs included.
        seconds: time limit of this run; None for none.
        observer: told what happens.
        early_stopping: ends trainings that are not worth going on with; None for none.
        epoch_timeout: seconds that an epoch may take before its worker is killed; None: by the epochs seen so far.
    """

    def __init__(
        self,
        study: Study,
        space: GeneSpace,
        sampler: SpaceSampler,
        trials: int,
        seconds: float | None = None,
        observer: Observer | None = None,
        early_stopping: StoppingRule | None = None,
        epoch_timeout: float | None = None,
    ) -> None:
        self.study = study
        self.space = space
        self.sampler = sampler
        self.trials = trials
        self.observer = observer
        self.early_stopping = early_stopping
        self.ended_because: str | None = None
        self._suspended = False
        self._deadline = time.monotonic() + seconds if seconds is not None else None
        self._orphans = study.unfinished()
        self._running: dict[int, TrialRecord] = {}
        self._curves: dict[int, list[EpochResult]] = {}
        self._deadlines = EpochDeadlines(epoch_timeout)
        for record in study.records:
            self._learn_pace(record, record.curve)

    @property
    def suspended(self) -> bool:
        """Whether running trials are to be left for a later run."""
        if not self._suspended and self._deadline is not None and time.monotonic() >= self._deadline:
            self.suspend("the time limit was reached")
        return self._suspended

    def suspend(self, reason: str) -> None:
        """End the search soon: no new trials, and running ones stay resumable."""
        if not self._suspended:
            self._suspended = True
            self.ended_because = reason

    def next(self) -> Job | None:
        """The next job; None when no more trials are to be started."""
        if not self._orphans and (self.study.count >= self.trials or self._exhausted()):
            return None
        if self.suspended:
            return None
        record = self._take_up()
        resumed = record is not None
        record = record or self._start()
        if record is None:
            return None
        self._running[record.number] = record
        self._curves[record.number] = list(record.curve)
        if self.observer:
            self.observer.started(record, resumed)
        return self.study.job(record, self._deadlines.limit(self._cost(record)))

    def report(self, number: int, result: EpochResult) -> Verdict:
        """Take the result of an epoch; the verdict on a final result is CONTINUE, and `finish` follows.

        A verdict of STOP has already ended the trial in the study.
        """
        curve = self._curves[number]
        if result.epoch == len(curve) + 1:
            curve.append(result)
            self._learn_pace(self._running[number], [result])
            self.study.set_curve(number, curve)
            if self.observer:
                self.observer.reported(self._running[number], result)
        if result.final:
            return Verdict.CONTINUE
        if self._to_be_stopped(number, result):
            self._curves.pop(number)
            self._tell_finished(self.study.stop(self._running.pop(number)))
            return Verdict.STOP
        return Verdict.SUSPEND if self.suspended else Verdict.CONTINUE

    def finish(self, number: int) -> None:
        """End a trial with the accuracy of its last result."""
        record = self._running.pop(number)
        self._tell_finished(self.study.complete(record, self._curves.pop(number)[-1].top1))

    def fail(self, number: int, reason: str) -> None:
        """End a trial that has no accuracy."""
        self._running.pop(number)
        self._curves.pop(number)
        self._tell_finished(self.study.fail(number, reason))

    def _to_be_stopped(self, number: int, result: EpochResult) -> bool:
        # Of the epochs that a resumed trial reports again only the last is judged: earlier rungs were passed.
        curve = self._curves[number]
        if self.early_stopping is None or result.epoch != len(curve):
            return False
        others = ((self._cost(r), r.curve) for r in self.study.all_records if r.number != number)
        return not self.early_stopping.continues(self._cost(self._running[number]), curve, others)

    def _cost(self, record: TrialRecord) -> float:
        """The cost that the search makes low; epochs are taken to last in proportion to it."""
        return record.cost[self.study.objective]

    def _learn_pace(self, record: TrialRecord, results: Iterable[EpochResult]) -> None:
        for result in results:
            self._deadlines.saw(self._cost(record), result.metrics.get("seconds", 0.0))

    def _take_up(self) -> TrialRecord | None:
        """The next trial that an earlier run left running."""
        while self._orphans:
            record = self.study.take_up(self._orphans.pop(0))
            if record is not None:
                return record
        return None

    def _start(self) -> TrialRecord | None:
        if self.study.count >= self.trials:
            return None
        try:
            return self.study.start(self.space, self.sampler)
        except SpaceExhaustedError as error:
            # Running trials go on: there are no more networks to start, which is no reason to stop training.
            self.ended_because = self.ended_because or str(error)
            self.trials = 0
            return None

    def _exhausted(self) -> bool:
        if self.space.size > ENUMERABLE:  # only `start` can find out
            return False
        known = self.sampler.known_identities(self.study.optuna_study)
        if self.sampler.feasible.exhausted(known):
            self.ended_because = self.ended_because or "every network of the space within the limits is known"
            return True
        return False

    def _tell_finished(self, record: TrialRecord) -> None:
        self.study.back_up(at_once=False)
        if self.observer:
            self.observer.finished(record)


class Executor(Protocol):
    """Runs the jobs of a queue."""

    def run(self, search: JobQueue, evaluator: Evaluator) -> None:
        """Run until the queue, such as a search, starts no more jobs.

        Raises:
            StorageError: results cannot be written; running jobs stay resumable.
        """
        ...
