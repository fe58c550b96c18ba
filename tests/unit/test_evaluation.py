import os
import socket
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from bsconv_nas.errors import StorageError, TrainingError
from bsconv_nas.evaluation import EpochResult, FunctionEvaluator, Job, checked_top1
from bsconv_nas.executors.running import JobError, run_job

JOB = Job(0, (1,), 0)


class Yields:
    """An evaluator that yields what it was given."""

    def __init__(self, *results: Any) -> None:
        self.results = results
        self.device = "cpu"

    def run(self, job: Job) -> Iterator[EpochResult]:
        for result in self.results:
            if isinstance(result, Exception):
                raise result
            yield result


@pytest.mark.parametrize("value", [0, 1, 0.5, np.float32(0.25), np.array(0.75), True])
def test_accuracies_become_floats(value: Any) -> None:
    assert type(checked_top1(value)) is float


@pytest.mark.parametrize("value", [None, "high", 2.0, -0.1, float("nan"), float("inf"), [0.5], {}, 10**400])
def test_other_values_are_refused_with_the_value(value: Any) -> None:
    with pytest.raises(TrainingError, match=r"evaluate returned .+; allowed: an accuracy from 0 to 1"):
        checked_top1(value)


def test_a_function_gives_one_final_result() -> None:
    (result,) = FunctionEvaluator(lambda genotype: genotype[0] / 4).run(JOB)
    assert (result.epoch, result.epochs, result.top1, result.final) == (1, 1, 0.25, True)


def test_results_are_passed_on_up_to_the_final_one() -> None:
    results = [EpochResult(1, 2, 0.1), EpochResult(2, 2, 0.2), EpochResult(3, 2, 0.9)]
    assert list(run_job(Yields(*results), JOB)) == results[:2]


def test_results_say_which_process_and_gpu_they_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    here = f"{socket.gethostname()} pid {os.getpid()}"
    evaluator = Yields(EpochResult(1, 1, 0.1))
    assert [result.worker for result in run_job(evaluator, JOB)] == [here]
    evaluator.device = "cuda"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [result.worker for result in run_job(evaluator, JOB)] == [f"{here} gpu 0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")  # as Ray sets it in a worker
    assert [result.worker for result in run_job(evaluator, JOB)] == [f"{here} gpu 3"]


@pytest.mark.parametrize(
    ("results", "reason"),
    [
        ([], "ended without a final result"),
        ([EpochResult(1, 2, 0.5)], "ended without a final result"),
        ([EpochResult(1, 1, float("nan"))], "nan"),
        ([EpochResult(1, 1, 2.0)], "2.0"),
        ([EpochResult(1, 1, None)], "None"),  # type: ignore[arg-type]
        ([EpochResult(0, 1, 0.5)], "number 1 is of epoch 0"),
        ([EpochResult(1, 3, 0.5), EpochResult(3, 3, 0.5)], "number 2 is of epoch 3"),
        ([0.5], "AttributeError"),
        ([TrainingError("loss is nan")], "loss is nan"),
        ([ValueError("two\nlines")], "ValueError: two"),
        ([MemoryError()], "MemoryError"),
    ],
)
def test_a_bad_evaluator_fails_the_job_with_a_reason(results: list[Any], reason: str) -> None:
    with pytest.raises(JobError) as caught:
        list(run_job(Yields(*results), JOB))
    assert reason in str(caught.value).splitlines()[0]


def test_the_traceback_is_kept() -> None:
    with pytest.raises(JobError, match="in run"):
        list(run_job(Yields(ValueError("bad")), JOB))


@pytest.mark.parametrize("error", [StorageError("full"), KeyboardInterrupt()])
def test_what_is_not_the_networks_fault_is_not_made_so(error: BaseException) -> None:
    def evaluate(genotype: object) -> float:
        raise error

    with pytest.raises(type(error)):
        list(run_job(FunctionEvaluator(evaluate), JOB))
