"""The executor without workers: jobs run one after another in this process."""

from bsconv_nas.engine.search import JobQueue, Verdict
from bsconv_nas.evaluation import Evaluator, Job
from bsconv_nas.executors.running import JobError, run_job


class LocalExecutor:
    """Runs a search in this process; imports no Ray. For debugging, notebooks and machines with one GPU."""

    def run(self, search: JobQueue, evaluator: Evaluator) -> None:
        """Run until the search starts no more trials.

        Raises:
            StorageError: results cannot be written; the running trial stays resumable.
        """
        while (job := search.next()) is not None:
            self._run_job(search, evaluator, job)

    def _run_job(self, search: JobQueue, evaluator: Evaluator, job: Job) -> None:
        try:
            for result in run_job(evaluator, job):
                if search.report(job.number, result) is not Verdict.CONTINUE:
                    return
            search.finish(job.number)
        except JobError as error:
            search.fail(job.number, str(error))
