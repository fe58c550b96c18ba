"""What executors share: the boundary at which a network's failure becomes a trial's reason."""

import os
import socket
import traceback
from collections.abc import Iterator
from dataclasses import replace

from bsconv_nas.errors import DeviceError, StorageError, TrainingError
from bsconv_nas.evaluation import EpochResult, Evaluator, Job, checked_top1


class JobError(Exception):
    """Why a job failed, in one line and, after it, the traceback where one helps."""


def run_job(evaluator: Evaluator, job: Job) -> Iterator[EpochResult]:
    """Run a job up to its final result; each result is checked, and says which worker it comes from.

    Raises:
        JobError: the evaluator failed on this network.
        StorageError: results cannot be written; this is not the network's fault.
        DeviceError: the GPU is lost; nor is this.
    """
    try:
        for count, result in enumerate(evaluator.run(job), 1):
            checked_top1(result.top1)
            if result.epoch != count:
                raise TrainingError(f"the evaluator's result number {count} is of epoch {result.epoch}; count from 1")
            yield replace(result, worker=worker_name(evaluator))
            if result.final:
                return
    except (StorageError, DeviceError):
        raise
    except TrainingError as error:
        raise JobError(str(error)) from error
    except Exception as error:
        if is_device_loss(error):
            raise DeviceError(f"the GPU is lost: {str(error).splitlines()[0]}") from error
        raise JobError(f"{type(error).__name__}: {error}\n{traceback.format_exc()}") from error
    raise JobError("the evaluator ended without a final result; yield one of each epoch")


def worker_name(evaluator: Evaluator) -> str:
    """This process as people look for it: host, process id, and the GPU if it trains on one."""
    name = f"{socket.gethostname()} pid {os.getpid()}"
    if not str(getattr(evaluator, "device", "")).startswith("cuda"):
        return name
    return f"{name} gpu {os.environ.get('CUDA_VISIBLE_DEVICES') or 0}"  # Ray sets it to the GPUs of this worker


def is_device_loss(error: Exception) -> bool:
    """Whether an error leaves the GPU unusable for this process, so that every later training in it would fail too."""
    text = str(error)
    return type(error).__name__ == "AcceleratorError" or ("CUDA error" in text and "out of memory" not in text)
