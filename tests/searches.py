"""A space and evaluators without training, for tests of the search itself; importable in other processes."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bsconv_nas.base.files import write_atomic
from bsconv_nas.base.limits import Limits
from bsconv_nas.engine.search import Search
from bsconv_nas.evaluation import EpochResult, Job
from bsconv_nas.samplers import SamplerLike, SpaceSampler, make_sampler
from bsconv_nas.spaces.genes import GeneSpace, Genotype
from bsconv_nas.study import Study, TrialRecord
from bsconv_nas.study.storage import open_storage

GENES = {"width": [8, 16, 24, 32, 48], "depth": [1, 2, 3], "kind": ["S", "U"], "se": [False, True]}
LIMITS = {"macs": 4000.0}


def table_cost(genotype: Genotype) -> dict[str, float]:
    width, depth, kind, se = genotype
    macs = float(width) * float(depth) * (40 if kind == "U" else 20) + (100 if se else 0)  # type: ignore[arg-type]
    return {"macs": macs, "params": macs / 10}


def table_top1(genotype: Genotype) -> float:
    macs = table_cost(genotype)["macs"]
    return round(macs / (macs + 1000) + (0.01 if genotype[3] else 0), 6)


def table_space(widths: Sequence[int] = GENES["width"]) -> GeneSpace:
    """60 networks of 160 to 5860 MACs, 58 of them within `LIMITS`; other widths make more."""
    return GeneSpace({**GENES, "width": list(widths)}, table_cost, name="table")


def new_study(space: GeneSpace, folder: Path | None = None, **changes: Any) -> Study:
    """A study in memory."""
    given: dict[str, Any] = {"name": "s", "limits": Limits(LIMITS), "seed": 0, "fixed": {}, "folder": folder}
    given.update(changes)
    return Study.open(given.pop("storage", None) or open_storage(None), space=space, **given)


def new_search(
    space: GeneSpace, study: Study | None = None, sampler: str = "random", trials: int = 5, **more: Any
) -> Search:
    """A search over a study in memory."""
    study = study or new_study(space)
    return Search(study, space, sampler_for(space, sampler), trials, **more)


def sampler_for(space: GeneSpace, sampler: SamplerLike = "random", seed: int = 0) -> SpaceSampler:
    return make_sampler(sampler, space, Limits(LIMITS), seed)


class Epochs:
    """An evaluator of a few epochs with a text file as its checkpoint; `on_epoch(job, epoch)` may misbehave."""

    def __init__(self, epochs: int = 3, on_epoch: Callable[[Job, int], None] | None = None) -> None:
        self.epochs = epochs
        self.on_epoch = on_epoch

    def run(self, job: Job) -> Iterator[EpochResult]:
        done = int(job.checkpoint.read_text()) if job.checkpoint and job.checkpoint.exists() else 0
        for epoch in range(1, self.epochs + 1):
            if epoch > done:
                if self.on_epoch:
                    self.on_epoch(job, epoch)
                if job.checkpoint:
                    write_atomic(job.checkpoint, str(epoch), durable=False)
            top1 = table_top1(job.genotype) * epoch / self.epochs
            yield EpochResult(epoch, self.epochs, top1, {"resumed_at": float(done)})


class Once:
    """Whether something is done for the first time, across processes: a file remembers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, name: str) -> bool:
        try:
            (self.folder / name).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hang() -> None:
    """Never return, and never let another thread run: what only the death of the process ends."""
    sum(range(10**15))


def outcomes(records: list[TrialRecord]) -> list[tuple[int, Genotype, float | None]]:
    """What must be equal in two runs of the same search."""
    return [(r.number, r.genotype, r.top1) for r in sorted(records, key=lambda r: r.number)]
