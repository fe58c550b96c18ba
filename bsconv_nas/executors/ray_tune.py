"""The executor on Ray Tune: one worker process per running trial, on this machine or a cluster.

Tune schedules, restarts and reuses workers. Every decision is the search's: `TuneAdapter` hands its jobs out as
suggestions and takes results back. All that must last is in Optuna's storage: nothing of Tune's is ever restored.
"""

import logging
import math
import os
import signal
import tempfile
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, cast

from bsconv_nas.engine.search import JobQueue, Verdict
from bsconv_nas.errors import DeviceError, StorageError, UsageError
from bsconv_nas.evaluation import EpochResult, Evaluator, Job
from bsconv_nas.executors.running import JobError, run_job
from bsconv_nas.executors.tune_adapter import TuneAdapter
from bsconv_nas.executors.worker_failures import end_worker, pause_before, ray_message, watched

# Ray reads these when it is imported or started: no usage reports, no result files beside ours, little output.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # Drops Ray's paragraphs on standard output about failed workers: `TuneAdapter` logs one line for each.
    "RAY_DEDUP_LOGS_SKIP_REGEX": "worker died or was killed|Raylet is terminated|node running low|marked dead",
    "RAY_worker_niceness": "0",  # with Ray's default of 15, workers get hardly any time beside other programs
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
for _name, _value in _ENVIRONMENT.items():
    os.environ.setdefault(_name, _value)

import ray  # noqa: E402
from ray import tune  # noqa: E402
from ray.air.execution._internal import actor_manager  # noqa: E402
from ray.exceptions import NodeDiedError, OutOfMemoryError, RayActorError, WorkerCrashedError  # noqa: E402
from ray.tune.experiment import Trial  # noqa: E402
from ray.tune.schedulers import FIFOScheduler, TrialScheduler  # noqa: E402
from ray.tune.search import Searcher  # noqa: E402
from ray.tune.stopper import Stopper  # noqa: E402

_STEP_SECONDS = 0.5
_MIN_OBJECT_STORE = 200_000_000
_DATA_COPIES = 2  # room in the object store beside one copy of the data


class RayExecutor:
    """Runs a search on Ray workers.

    Args:
        workers: trials at a time; None: as many as the machine or cluster has room for.
        cpus_per_trial: CPU cores reserved for each.
        gpus_per_trial: GPUs reserved for each; fractions share one.
        address: an existing cluster, for example "auto" or "ray://host:10001"; None starts Ray on this machine.
        max_retries: how often a trial whose worker died is taken up again, from its checkpoint.
        data_bytes: size of the data that workers share, to size the object store.
    """

    def __init__(
        self,
        workers: int | None,
        cpus_per_trial: float = 1,
        gpus_per_trial: float = 0,
        address: str | None = None,
        max_retries: int = 3,
        data_bytes: int = 0,
    ) -> None:
        self.workers = workers
        self.resources = {"cpu": cpus_per_trial, "gpu": gpus_per_trial}
        self.address = address
        self.max_retries = max_retries
        self.data_bytes = data_bytes

    def run(self, search: JobQueue, evaluator: Evaluator) -> None:
        """Run until the search starts no more trials.

        Raises:
            UsageError: the machine or cluster lacks what one trial asks for.
            StorageError: results cannot be written; running trials stay resumable.
        """
        started_here = not ray.is_initialized()
        if started_here:
            with _own_sigterm():
                self._start_ray()
        try:
            self._check_resources()
            adapter = TuneAdapter(search, self.max_retries)
            with tempfile.TemporaryDirectory(prefix="bsconv-nas-") as scratch, _known_worker_failures():
                self._tuner(adapter, evaluator, scratch).fit()
            if adapter.error is not None:
                raise adapter.error
        finally:
            if started_here:
                ray.shutdown()

    def _start_ray(self) -> None:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self.address is not None:
            try:
                ray.init(address=self.address, **quiet)
            except (ConnectionError, ValueError) as error:
                reason = str(error).splitlines()[0]
                raise UsageError(
                    f"no Ray cluster at {self.address!r} ({reason}); start one with `ray start --head`, "
                    "set RAY_AUTH_MODE=token if it asks for a token, or leave --ray-address out"
                ) from error
            return
        ray.init(
            address="local",
            num_cpus=max(1, math.ceil(self.workers * self.resources["cpu"])) if self.workers else None,
            object_store_memory=max(_MIN_OBJECT_STORE, _DATA_COPIES * self.data_bytes),
            include_dashboard=False,
            **quiet,
        )

    def _check_resources(self) -> None:
        available = ray.cluster_resources()
        for name, wanted in self.resources.items():
            there = available.get(name.upper(), 0)
            if wanted > there:
                raise UsageError(f"a trial asks for {wanted:g} {name.upper()}s, but there are {there:g}; ask for less")

    def _room(self) -> int:
        available = ray.cluster_resources()
        return max(1, min(int(available.get(n.upper(), 0) // wanted) for n, wanted in self.resources.items() if wanted))

    def _tuner(self, adapter: "TuneAdapter", evaluator: Evaluator, scratch: str) -> tune.Tuner:
        trainable = tune.with_resources(tune.with_parameters(_JobTrainable, evaluator=evaluator), self.resources)
        return tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=_JobSearcher(adapter),
                scheduler=_JobScheduler(adapter),
                num_samples=-1,
                reuse_actors=True,
                max_concurrent_trials=self.workers or self._room(),
            ),
            run_config=tune.RunConfig(
                name="search",
                storage_path=scratch,
                verbose=0,
                stop=_SuspendStopper(adapter),
                failure_config=tune.FailureConfig(max_failures=self.max_retries),
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            ),
        )


@contextmanager
def _own_sigterm() -> Generator[None]:
    """Keep the handler of SIGTERM, which `ray.init` replaces by one that exits at once."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


@contextmanager
def _known_worker_failures() -> Generator[None]:
    """Within the block, Tune takes a worker that Ray's memory monitor killed for one that died.

    By itself it ends the whole run with "Caught unexpected exception" (Ray 2.60): of what may become of a worker it
    knows only `RayActorError`.
    """
    manager = actor_manager.RayActorManager
    known = manager._actor_task_failed  # pyright: ignore[reportPrivateUsage]

    def failed(self: actor_manager.RayActorManager, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, (OutOfMemoryError, NodeDiedError, WorkerCrashedError)):
            exception = RayActorError(error_msg=f"{type(exception).__name__}: {exception}")
        known(self, tracked_actor_task, exception)

    manager._actor_task_failed = failed  # pyright: ignore[reportPrivateUsage]
    try:
        yield
    finally:
        manager._actor_task_failed = known  # pyright: ignore[reportPrivateUsage]


class _JobSearcher(Searcher):
    """Hands out the search's jobs."""

    def __init__(self, adapter: TuneAdapter) -> None:
        super().__init__()
        self._adapter = adapter

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        handed_out = self._adapter.next_job(trial_id)
        if handed_out is not None:
            job, failures = handed_out
            return {"job": job, "failures_before": failures, "attempt": failures}
        # Not finished while a trial runs: should its worker die, the job may have to be handed out once more.
        return cast(Any, Searcher.FINISHED) if self._adapter.done else None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if error:
            self._adapter.gave_up(trial_id)


class _JobScheduler(FIFOScheduler):
    """Asks the search after every epoch."""

    def __init__(self, adapter: TuneAdapter) -> None:
        super().__init__()
        self._adapter = adapter

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        trial.max_failures = self._adapter.max_retries - trial.config["failures_before"]

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        verdict = self._adapter.take(trial.trial_id, result)
        return TrialScheduler.CONTINUE if verdict is Verdict.CONTINUE else TrialScheduler.STOP

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """A worker died; Tune begins the trial again with this configuration, or gives it up."""
        trial.config["attempt"] += 1
        self._adapter.worker_failed(trial.trial_id, ray_message(trial.error_file))


class _SuspendStopper(Stopper):
    """Ends the run when the search is suspended."""

    def __init__(self, adapter: TuneAdapter) -> None:
        self._adapter = adapter

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._adapter.search.suspended


class _JobTrainable(tune.Trainable):
    """In the worker: an epoch per step, or as many as fit into `_STEP_SECONDS`.

    Never says `done`: that would bypass the scheduler.
    """

    def setup(self, config: dict[str, Any], evaluator: Evaluator | None = None) -> None:
        assert evaluator is not None, "tune.with_parameters gives it"
        self._evaluator = evaluator
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._begin(new_config)
        return True

    def _begin(self, config: dict[str, Any]) -> None:
        self._job: Job = config["job"]
        self._pause = pause_before(config["attempt"])
        self._results: Iterator[EpochResult] = run_job(self._evaluator, self._job)
        self._failure: dict[str, Any] | None = None

    def step(self) -> dict[str, Any]:
        time.sleep(self._pause)
        self._pause = 0
        rows = list(self._epochs())
        if rows:
            return {"epochs": rows}
        assert self._failure is not None, "a job that ends without a final result fails"
        return self._failure

    def _epochs(self) -> Iterator[list[Any]]:
        # Each report costs one round of Tune's loop, during which the worker waits, so short epochs are sent together.
        started = time.monotonic()
        while self._failure is None:
            # Failures travel as results: an exception would look like a dead worker, and be retried.
            try:
                with watched(self._job):
                    result = next(self._results)
            except DeviceError as error:
                end_worker(self._job, str(error))
            except JobError as error:
                self._failure = {"failed": str(error)}
                return
            except StorageError as error:
                self._failure = {"storage_error": str(error)}
                return
            yield [result.epoch, result.epochs, result.top1, result.metrics, result.worker]
            if result.final or time.monotonic() - started >= _STEP_SECONDS:
                return
