"""What executors share: the boundary at which a network's failure becomes a trial's reason."""

import traceback
from collections.abc import Iterator

from bsconv_nas.errors import StorageError, TrainingError
from bsconv_nas.evaluation import EpochResult, Evaluator, Job


class JobError(Exception):
    """Why a job failed, in one line and, after it, the traceback where one helps."""


def run_job(evaluator: Evaluator, job: Job) -> Iterator[EpochResult]:
    """Run a job and check that it ends with a final result.

    Raises:
        JobError: the evaluator failed on this network.
        StorageError: results cannot be written; this is not the network's fault.
    """
    final = False
    try:
        for result in evaluator.run(job):
            final = result.final
            yield result
    except StorageError:
        raise
    except TrainingError as error:
        raise JobError(str(error)) from error
    except Exception as error:
        raise JobError(f"{type(error).__name__}: {error}\n{traceback.format_exc()}") from error
    if not final:
        raise JobError("the evaluator ended without a final result")
