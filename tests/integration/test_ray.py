"""The executor on real Ray: the same decisions as in one process, and deaths of all kinds."""

import os
import re
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from bsconv_nas.api import search
from bsconv_nas.engine.options import SearchOptions
from bsconv_nas.errors import StorageError, UsageError
from bsconv_nas.evaluation import EpochResult, Evaluator, FunctionEvaluator, Job
from bsconv_nas.executors.local import LocalExecutor
from bsconv_nas.spaces.genes import GeneSpace
from bsconv_nas.study import Study
from tests.searches import Epochs, Once, hang, kill_self, new_search, new_study, outcomes, table_space, table_top1

WORKERS = 2


@pytest.fixture(scope="module")
def ray_session() -> Generator[None]:
    """One Ray for all tests of this file: starting it takes seconds."""
    from bsconv_nas.executors.ray_tune import ray  # after it has set Ray's environment

    ray.init(
        address="local",  # never a cluster that someone else runs on this machine
        num_cpus=WORKERS,
        object_store_memory=200_000_000,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        runtime_env={"env_vars": {"PYTHONPATH": str(Path(__file__).parents[2])}},
    )
    yield
    ray.shutdown()


def run_on_ray(
    evaluator: Evaluator, trials: int, folder: Path | None = None, epoch_timeout: float | None = None, **more: Any
) -> Study:
    from bsconv_nas.executors.ray_tune import RayExecutor

    space = table_space()
    study = new_study(space, folder)
    RayExecutor(WORKERS, **more).run(new_search(space, study, trials=trials, epoch_timeout=epoch_timeout), evaluator)
    return study


def left_over(folder: Path) -> set[str]:
    """Files beside the weights of front members."""
    files = {str(path.relative_to(folder)) for kind in ("checkpoints", "weights") for path in (folder / kind).glob("*")}
    return {name for name in files if not re.fullmatch(r"weights/trial-\d+.safetensors", name)}


def test_tune_takes_a_kill_by_the_memory_monitor_for_a_death() -> None:
    from ray.air.execution._internal.actor_manager import RayActorManager
    from ray.exceptions import OutOfMemoryError, RayActorError

    from bsconv_nas.executors.ray_tune import _known_worker_failures

    task = Mock()
    with _known_worker_failures():
        RayActorManager._actor_task_failed(Mock(), task, OutOfMemoryError("running low on memory"))
    ((_, told),) = [call.args for call in task._on_error.call_args_list]
    assert isinstance(told, RayActorError)
    assert str(told) == "OutOfMemoryError: running low on memory"


@pytest.mark.usefixtures("ray_session")
class TestRay:
    def test_trials_are_those_of_a_search(self) -> None:
        study = run_on_ray(Epochs(3), 8)
        assert sorted(record.number for record in study.records) == list(range(8))
        assert len({record.identity for record in study.records}) == 8
        assert all(record.top1 == pytest.approx(table_top1(record.genotype)) for record in study.records)
        assert all([result.epoch for result in record.curve] == [1, 2, 3] for record in study.records)
        assert study.unfinished() == []
        workers = {record.worker for record in study.records}
        assert len(workers) in (1, 2)
        assert all(re.fullmatch(r".+ pid \d+", worker or "") for worker in workers)
        assert not any((worker or "").endswith(f" pid {os.getpid()}") for worker in workers)

    def test_the_random_sampler_proposes_the_same_as_without_workers(self) -> None:
        # Its proposals depend on which networks are known, not on their results.
        space = table_space()
        local = new_study(space)
        LocalExecutor().run(new_search(space, local, trials=6), Epochs(1))
        assert outcomes(run_on_ray(Epochs(1), 6).records) == outcomes(local.records)

    def test_bad_values_and_exceptions_fail_their_trials_only(self) -> None:
        values = {8: None, 16: 2.0, 24: float("nan"), 48: 0.5}

        def evaluate(genotype: Any) -> float:
            return values[genotype[0]]  # type: ignore[return-value]

        study = run_on_ray(FunctionEvaluator(evaluate), 16)
        assert len(study.records) == 16
        reasons = {
            8: "evaluate returned None",
            16: "evaluate returned 2.0",
            24: "evaluate returned nan",
            32: "KeyError: 32",
        }
        for record in study.records:
            width = int(record.genotype[0])
            assert record.state == ("complete" if width == 48 else "failed")
            assert (record.reason or "").startswith(reasons.get(width, "KeyError: 32\n" if width == 32 else ""))
        assert {record.genotype[0] for record in study.records} == {8, 16, 24, 32, 48}

    def test_a_killed_worker_resumes_its_trial_from_the_checkpoint(self, tmp_path: Path) -> None:
        once = Once(tmp_path)

        def on_epoch(job: Job, epoch: int) -> None:
            if job.number == 1 and epoch == 3 and once("killed"):
                kill_self()

        study = run_on_ray(Epochs(4, on_epoch), 4, tmp_path / "study")
        assert sorted(record.number for record in study.records) == [0, 1, 2, 3]
        assert {record.state for record in study.records} == {"complete"}
        (record,) = [record for record in study.records if record.number == 1]
        assert [result.epoch for result in record.curve] == [1, 2, 3, 4]
        assert record.curve[-1].metrics["resumed_at"] == 2
        assert study.count == 4

    def test_a_network_that_always_kills_its_worker_fails(self) -> None:
        def on_epoch(job: Job, epoch: int) -> None:
            if job.number == 1:
                kill_self()

        study = run_on_ray(Epochs(2, on_epoch), 4, max_retries=1)
        states = {record.number: record.state for record in study.records}
        assert states == {0: "complete", 1: "failed", 2: "complete", 3: "complete"}
        (failed,) = [record for record in study.records if record.number == 1]
        assert failed.reason == "its worker died 2 times: killed or crashed (out of memory?)"

    def test_a_hanging_worker_is_killed_and_its_trial_goes_on(self, tmp_path: Path) -> None:
        once = Once(tmp_path)

        def on_epoch(job: Job, epoch: int) -> None:
            if job.number == 1 and epoch == 3 and once("hung"):
                hang()

        study = run_on_ray(Epochs(4, on_epoch), 4, tmp_path / "study", epoch_timeout=6)
        assert [record.state for record in study.records] == ["complete"] * 4
        (record,) = [record for record in study.records if record.number == 1]
        assert record.curve[-1].metrics["resumed_at"] == 2
        assert left_over(tmp_path / "study") == set()

    @pytest.mark.long
    def test_a_network_that_always_hangs_fails_and_says_where(self, tmp_path: Path) -> None:
        def on_epoch(job: Job, epoch: int) -> None:
            if job.number == 2:
                hang()

        study = run_on_ray(Epochs(2, on_epoch), 5, tmp_path, epoch_timeout=6, max_retries=1)
        states = {record.number: record.state for record in study.records}
        assert states == {0: "complete", 1: "complete", 2: "failed", 3: "complete", 4: "complete"}
        (failed,) = [record for record in study.records if record.number == 2]
        assert (failed.reason or "").startswith("its worker died 2 times: no result for 6 s\n")
        assert 'searches.py", line' in (failed.reason or "")
        assert left_over(tmp_path) == set()

    def test_a_worker_killed_while_it_writes_leaves_no_half_files(self, tmp_path: Path) -> None:
        once = Once(tmp_path)

        def on_epoch(job: Job, epoch: int) -> None:
            if job.number == 0 and epoch == 2 and once("killed"):
                assert job.checkpoint is not None
                assert job.weights is not None
                for path in (job.checkpoint, job.weights):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.with_name(f".{path.name}.0123abcd").write_text("half")
                kill_self()

        study = run_on_ray(Epochs(3, on_epoch), 2, tmp_path / "study")
        assert [record.state for record in study.records] == ["complete"] * 2
        assert left_over(tmp_path / "study") == set()

    def test_a_worker_whose_gpu_is_lost_is_replaced(self, tmp_path: Path) -> None:
        once = Once(tmp_path)

        def on_epoch(job: Job, epoch: int) -> None:
            if job.number == 1 and epoch == 2 and once("lost"):
                raise RuntimeError("CUDA error: unspecified launch failure")

        study = run_on_ray(Epochs(3, on_epoch), 4, tmp_path / "study")
        assert [record.state for record in study.records] == ["complete"] * 4

    def test_a_network_for_which_memory_does_not_suffice_fails(self) -> None:
        def on_epoch(job: Job, epoch: int) -> None:
            if job.number == 1:
                bytearray(1 << 62)

        study = run_on_ray(Epochs(2, on_epoch), 3)
        states = {record.number: record.state for record in study.records}
        assert states == {0: "complete", 1: "failed", 2: "complete"}
        (failed,) = [record for record in study.records if record.number == 1]
        assert (failed.reason or "").startswith("MemoryError")

    def test_an_evaluator_that_prints_megabytes_floods_nobody(self, capfd: pytest.CaptureFixture[str]) -> None:
        def on_epoch(job: Job, epoch: int) -> None:
            for stream in (sys.stdout, sys.stderr):
                stream.write("x" * 10_000_000 + "\n")

        study = run_on_ray(Epochs(2, on_epoch), 4)
        assert [record.state for record in study.records] == ["complete"] * 4
        assert sum(map(len, capfd.readouterr())) < 100_000

    def test_running_trials_of_an_exhausted_space_are_finished(self) -> None:
        space = GeneSpace({"width": [1, 2, 3]}, lambda g: {"macs": float(g[0])})  # type: ignore[arg-type]
        from bsconv_nas.executors.ray_tune import RayExecutor

        study = search(space, Epochs(3), trials=9, options=SearchOptions(executor=RayExecutor(WORKERS)))
        assert sorted(record.genotype for record in study.records) == [(1,), (2,), (3,)]
        assert study.unfinished() == []

    def test_an_error_of_storage_ends_the_search_and_keeps_the_rest(self) -> None:
        class Full(Epochs):
            def run(self, job: Job) -> Iterator[EpochResult]:
                if job.number == 3:
                    raise StorageError("cannot write x: No space left on device")
                yield from super().run(job)

        space = table_space()
        study = new_study(space)
        from bsconv_nas.executors.ray_tune import RayExecutor

        with pytest.raises(StorageError, match="No space left"):
            RayExecutor(WORKERS).run(new_search(space, study, trials=6), Full(2))
        assert len(study.records) >= 2
        assert {record.state for record in study.records} == {"complete"}
        assert 3 in study.unfinished()

    def test_an_error_in_the_driver_is_raised_not_retried(self) -> None:
        class Breaks:
            def started(self, record: Any, resumed: bool) -> None: ...
            def reported(self, record: Any, result: EpochResult) -> None: ...
            def ended(self, reason: str | None) -> None: ...
            def finished(self, record: Any) -> None:
                raise BrokenPipeError("nobody reads")

        space = table_space()
        from bsconv_nas.executors.ray_tune import RayExecutor

        study = new_study(space)
        with pytest.raises(BrokenPipeError):
            RayExecutor(WORKERS).run(new_search(space, study, trials=4, observer=Breaks()), Epochs(1))
        assert len(study.records) <= WORKERS

    def test_more_than_there_is_is_refused(self) -> None:
        with pytest.raises(UsageError, match=r"a trial asks for 3 GPUs, but there are \d+; ask for less"):
            run_on_ray(Epochs(1), 1, gpus_per_trial=3)

    def test_workers_share_one_read_only_copy_of_the_data(self, tmp_path: Path) -> None:
        from bsconv_nas.data import load_search_data
        from bsconv_nas.train.evaluator import TrainingEvaluator
        from bsconv_nas.train.recipe import default_recipe

        data = load_search_data("digits")
        inner = TrainingEvaluator(data, default_recipe(100, 8, False, 1))

        class Looks:
            """Says where the arrays of its evaluator are in memory."""

            def run(self, job: Job) -> Iterator[EpochResult]:
                array = inner._arrays[0]
                address, found = array.__array_interface__["data"][0], "private"
                for line in Path("/proc/self/maps").read_text().splitlines():
                    first, last = (int(part, 16) for part in line.split()[0].split("-"))
                    if first <= address < last:
                        found = line.split(maxsplit=5)[-1] + line.split()[1]
                (tmp_path / f"{os.getpid()}-{job.number}").write_text(f"{array.flags.writeable} {found}")
                yield EpochResult(1, 1, 0.5)

        run_on_ray(Looks(), 4)
        seen = [path.read_text() for path in tmp_path.iterdir()]
        assert len(seen) == 4
        assert all(text.startswith("False ") and "plasma" in text for text in seen), seen
