"""A space and an evaluator in which early accuracies tell the final ones, for tests of early stopping."""

from collections.abc import Iterator

from optuna.storages import BaseStorage

from bsconv_nas.base.limits import Limits
from bsconv_nas.engine.early_stopping import find_early_stopping
from bsconv_nas.engine.search import Search
from bsconv_nas.evaluation import EpochResult, Job
from bsconv_nas.executors.local import LocalExecutor
from bsconv_nas.samplers import make_sampler
from bsconv_nas.spaces.genes import GeneSpace
from bsconv_nas.study import Study
from bsconv_nas.study.storage import open_storage


class Curves:
    """An evaluator whose accuracy grows over epochs to 0.1 x width - 0.01 x depth."""

    def __init__(self, epochs: int = 8, stop_at: tuple[int, int] | None = None) -> None:
        self.epochs = epochs
        self.stop_at = stop_at

    def run(self, job: Job) -> Iterator[EpochResult]:
        final = 0.1 * float(job.genotype[0]) - 0.01 * float(job.genotype[1]) + 0.4
        for epoch in range(1, self.epochs + 1):
            if self.stop_at == (job.number, epoch):
                raise KeyboardInterrupt
            yield EpochResult(epoch, self.epochs, final * epoch / self.epochs)


SPACE = GeneSpace(
    {"width": [0, 1, 2, 3, 4], "depth": [1, 2, 3, 4, 5, 6]}, cost=lambda g: {"macs": 10.0 + 10 * float(g[0]) + g[1]}
)


def run_search(study: Study, evaluator: Curves, trials: int, sampler: str = "random", rule: str = "asha") -> Search:
    proposer = make_sampler(sampler, SPACE, Limits(), 0)
    run = Search(study, SPACE, proposer, trials, early_stopping=find_early_stopping(rule))
    LocalExecutor().run(run, evaluator)
    return run


def new_study(storage: BaseStorage | None = None) -> Study:
    return Study.open(storage or open_storage(None), "s", SPACE, Limits(), 0, {})


def outcome(study: Study) -> list[tuple[object, ...]]:
    return [(r.number, r.state, r.genotype, len(r.curve), r.top1) for r in study.all_records]
