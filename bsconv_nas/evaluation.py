"""What passes between the search and whoever evaluates a network: a job out, results per epoch back."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bsconv_nas.errors import TrainingError
from bsconv_nas.networks.arch import ArchSpec
from bsconv_nas.spaces.genes import Genotype


@dataclass(frozen=True, slots=True)
class Job:
    """One network to evaluate.

    `arch` is None in a user's own space. `checkpoint` and `weights` are where to keep the state of an unfinished
    training and the final weights; None in a study without a folder. `deadline` is how many seconds an epoch may take
    before its worker is taken to hang; None: for ever.
    """

    number: int
    genotype: Genotype
    seed: int
    arch: ArchSpec | None = None
    checkpoint: Path | None = None
    weights: Path | None = None
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class EpochResult:
    """The result after `epoch` of `epochs` epochs: accuracy in [0, 1] and other measurements by name.

    `worker` names the process it comes from; executors set it, and results are equal whoever had them.
    """

    epoch: int
    epochs: int
    top1: float
    metrics: dict[str, float] = field(default_factory=dict[str, float])
    worker: str | None = field(default=None, compare=False)

    @property
    def final(self) -> bool:
        return self.epoch >= self.epochs


Curve = Sequence[EpochResult]


class Evaluator(Protocol):
    """Evaluates networks; must be picklable, because it is sent to the workers once."""

    def run(self, job: Job) -> Iterator[EpochResult]:
        """Evaluate one network, yielding after each epoch; the last result has `final` set.

        A job that was begun before continues from its checkpoint, after yielding the results it already had.

        Raises:
            TrainingError: the network cannot be trained; the trial fails with this reason.
            StorageError: results cannot be written; the search stops.
        """
        ...


class FunctionEvaluator:
    """An evaluator made of a user's function `evaluate(genotype) -> top1`."""

    def __init__(self, function: Callable[[Genotype], float]) -> None:
        self.function = function

    def run(self, job: Job) -> Iterator[EpochResult]:
        yield EpochResult(1, 1, checked_top1(self.function(job.genotype)))


def checked_top1(value: object) -> float:
    """The accuracy as a float.

    Raises:
        TrainingError: not a number in [0, 1].
    """
    try:
        top1 = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError) as error:
        raise TrainingError(f"evaluate returned {value!r:.80}; allowed: an accuracy from 0 to 1") from error
    if not 0 <= top1 <= 1:  # also refuses NaN
        raise TrainingError(f"evaluate returned {top1}; allowed: an accuracy from 0 to 1")
    return top1
