"""Between Ray Tune's callbacks and the queue of jobs; knows no Ray."""

import logging
from typing import Any

from bsconv_nas.engine.search import JobQueue, Verdict
from bsconv_nas.errors import StorageError
from bsconv_nas.evaluation import EpochResult, Job
from bsconv_nas.executors.worker_failures import failure_reason

_log = logging.getLogger("bsconv_nas")


class TuneAdapter:
    """Between Tune's callbacks and the search: which Tune trial is which trial, and the error that ends the run.

    Tune swallows or wraps what callbacks raise, and runs the trial again, so every error is kept here, the search is
    suspended, and `RayExecutor.run` raises it.

    Tune itself begins most trials again whose worker died, but gives one up at once that it is just moving to a worker.
    Such a job is handed out again, as another trial of Tune's.
    """

    def __init__(self, search: JobQueue, max_retries: int) -> None:
        self.search = search
        self.max_retries = max_retries
        self.error: Exception | None = None
        self._jobs: dict[str, Job] = {}
        self._failures: dict[int, list[str]] = {}  # reasons by trial number, while the job has not ended
        self._again: list[Job] = []
        self._no_more = False

    def __getstate__(self) -> dict[str, object]:
        return {}  # Tune saves its callbacks so as to restore a run; ours are never restored, the study is the truth

    @property
    def done(self) -> bool:
        """Whether no more jobs will be handed out."""
        return self.search.suspended or (self._no_more and not self._jobs and not self._again)

    def next_job(self, tune_id: str) -> tuple[Job, int] | None:
        """The next job and how many workers died of it; None while there is none, see `done`."""
        try:
            job = self._next()
        except Exception as error:  # noqa: BLE001
            self._end(error)
            job = None
        if job is None:
            return None
        self._jobs[tune_id] = job
        return job, len(self._failures.get(job.number, []))

    def _next(self) -> Job | None:
        if self._again and not self.search.suspended:
            return self._again.pop(0)
        job = None if self._no_more else self.search.next()
        self._no_more = job is None
        return job

    def take(self, tune_id: str, result: dict[str, Any]) -> Verdict:
        """Pass a worker's result on; STOP also ends a trial that is finished, failed or suspended."""
        try:
            return self._take(tune_id, result)
        except Exception as error:  # noqa: BLE001
            self._end(error)
            return Verdict.SUSPEND

    def _take(self, tune_id: str, result: dict[str, Any]) -> Verdict:
        if "storage_error" in result:
            raise StorageError(result["storage_error"])
        number = self._jobs[tune_id].number
        if "failed" in result:
            self.search.fail(number, result["failed"])
            self._forget(tune_id)
            return Verdict.STOP
        verdict = Verdict.CONTINUE
        for row in result["epochs"]:
            epoch = EpochResult(*row)
            verdict = self.search.report(number, epoch)
            if epoch.final:
                self.search.finish(number)
                verdict = Verdict.STOP
            if verdict is not Verdict.CONTINUE:
                break
        if verdict is Verdict.STOP:
            self._forget(tune_id)
        return verdict

    def worker_failed(self, tune_id: str, ray_said: str) -> None:
        """A trial's worker died; `ray_said` is what Ray wrote of it."""
        job = self._jobs.get(tune_id)
        if job is None or self.search.suspended:
            return
        reason = failure_reason(job, ray_said)
        failures = self._failures.setdefault(job.number, [])
        failures.append(reason)
        if len(failures) <= self.max_retries:
            first = reason.splitlines()[0]
            _log.warning("trial %d: its worker died (%s); trying again", job.number, first)

    def gave_up(self, tune_id: str) -> None:
        """Tune will not begin a trial again: its workers died more often than allowed, or at a bad moment."""
        job = self._jobs.get(tune_id)
        if job is None or self.search.suspended:
            return
        failures = self._failures.get(job.number) or [failure_reason(job, "")]
        if len(failures) <= self.max_retries:
            del self._jobs[tune_id]
            self._again.append(job)
            return
        self._forget(tune_id)
        try:
            self.search.fail(job.number, f"its worker died {_times(len(failures))}: {_summary(failures)}")
        except Exception as error:  # noqa: BLE001
            self._end(error)

    def _forget(self, tune_id: str) -> None:
        self._failures.pop(self._jobs.pop(tune_id).number, None)

    def _end(self, error: Exception) -> None:
        self.error = self.error or error
        self.search.suspend(str(error))


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _summary(failures: list[str]) -> str:
    """The first line of each different reason, then the rest of the last one: the place where it hung."""
    heads = dict.fromkeys(reason.splitlines()[0] for reason in failures)
    rest = failures[-1].partition("\n")[2]
    return "; ".join(heads) + (f"\n{rest}" if rest else "")
