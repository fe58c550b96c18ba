"""`SearchTask`: a search with every choice made, as `bsconv_nas.search` and the command line hand it on."""

from dataclasses import dataclass
from pathlib import Path

from bsconv_nas.base.limits import Limits
from bsconv_nas.engine.options import SearchOptions
from bsconv_nas.evaluation import Evaluator
from bsconv_nas.samplers import SamplerLike
from bsconv_nas.spaces.genes import GeneSpace


@dataclass(frozen=True, slots=True)
class SearchTask:
    """A search that is ready to run.

    Args:
        space: the search space, with exact costs.
        evaluator: says how accurate a network is.
        limits: upper bounds by cost name.
        sampler: a name, an Optuna sampler, or a function that makes one from a seed (see `bsconv_nas.samplers`).
        trials: number of trials that the study is to have, those of earlier runs included.
        seed: of proposals and trainings, 0 or more.
        name: of the study in its storage.
        storage: URL of an Optuna storage; None: a SQLite file in `folder`, or memory without one.
        folder: of the study; None: nothing is kept.
        options: the rest.
        objective: the cost to make low, by name; None: `macs`, or in a space without it the only cost.
    """

    space: GeneSpace
    evaluator: Evaluator
    limits: Limits
    sampler: SamplerLike
    trials: int
    seed: int
    name: str
    storage: str | None
    folder: Path | None
    options: SearchOptions
    objective: str | None = None
