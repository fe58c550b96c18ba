"""What is known of a trial, read from Optuna's storage."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from bsconv_nas.errors import StudyError
from bsconv_nas.evaluation import EpochResult
from bsconv_nas.networks.arch import ArchSpec
from bsconv_nas.networks.metrics import named_cost
from bsconv_nas.spaces.genes import Choice, Genotype


class TrialState(StrEnum):
    """State of a trial. `STOPPED` is early stopping (Optuna's PRUNED)."""

    RUNNING = "running"
    COMPLETE = "complete"
    STOPPED = "stopped"
    FAILED = "failed"


_STATES = {
    OptunaState.RUNNING: TrialState.RUNNING,
    OptunaState.WAITING: TrialState.RUNNING,
    OptunaState.COMPLETE: TrialState.COMPLETE,
    OptunaState.PRUNED: TrialState.STOPPED,
    OptunaState.FAIL: TrialState.FAILED,
}


@dataclass(frozen=True, slots=True, repr=False)
class TrialRecord:
    """One trial.

    `top1` is the accuracy on the held-out part in [0, 1], None unless the trial is complete; `curve` has the results
    of the epochs so far. `identity` names the network (`arch_id` in a space of networks). `avoided` counts proposals
    of the sampler that were not trained in its place. `reason` says why a trial failed. `worker` is the process that
    its last epoch came from.
    """

    number: int
    state: TrialState
    genotype: Genotype
    identity: str
    cost: Mapping[str, float]
    top1: float | None
    seed: int
    curve: tuple[EpochResult, ...] = ()
    arch: Mapping[str, Any] | None = None
    avoided: Mapping[str, int] | None = None
    reason: str | None = None
    worker: str | None = None
    started: datetime | None = None
    completed: datetime | None = None
    gene_names: Sequence[str] = field(default=(), compare=False)

    def __repr__(self) -> str:
        """One line, without the curve and the architecture, which take pages."""
        top1 = "" if self.top1 is None else f", top1 {self.top1:.4f}"
        costs = ", ".join(named_cost(name, value) for name, value in self.cost.items())
        genes = ", ".join(f"{name}={choice!r}" for name, choice in zip(self.gene_names, self.genotype, strict=False))
        network = self.identity if self.arch is not None or not genes else genes
        return f"TrialRecord {self.number}: {self.state}{top1}, {costs}; {network}"

    @property
    def genes(self) -> dict[str, Choice]:
        """The choice of each gene, by its name."""
        return dict(zip(self.gene_names, self.genotype, strict=True))

    @property
    def seconds(self) -> float:
        """Time spent in training, in seconds, as measured by the worker (0 where the evaluator does not say)."""
        return sum(result.metrics.get("seconds", 0.0) for result in self.curve)

    def arch_spec(self) -> ArchSpec | None:
        """The network; None in a space of one's own."""
        return ArchSpec.from_dict(self.arch) if self.arch is not None else None


def record_of(trial: FrozenTrial, gene_names: Sequence[str], costs: Sequence[str] = ()) -> TrialRecord | None:
    """The record of an Optuna trial; None for one whose proposal was never written completely.

    `costs` are names that its costs must have.

    Raises:
        StudyError: what is stored is not what a search stores.
    """
    if "identity" not in trial.user_attrs:
        return None
    try:
        record = _record_of(trial, gene_names)
        missing = [name for name in costs if name not in record.cost]
        if missing:
            raise KeyError(missing[0])
        return record
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise StudyError(
            f"trial {trial.number} of this study cannot be read ({type(error).__name__}: {error}); "
            "the database was changed by another program, or is damaged"
        ) from error


def _record_of(trial: FrozenTrial, gene_names: Sequence[str]) -> TrialRecord:
    attributes = trial.user_attrs
    state = _STATES[trial.state]
    return TrialRecord(
        number=trial.number,
        state=state,
        genotype=tuple(trial.params[name] for name in gene_names),
        identity=str(attributes["identity"]),
        cost={str(name): float(value) for name, value in attributes["cost"].items()},
        top1=float(trial.values[0]) if state == TrialState.COMPLETE else None,
        seed=int(attributes["seed"]),
        curve=tuple(_epoch(*row) for row in attributes.get("curve", [])),
        arch=attributes.get("arch"),
        avoided=attributes.get("avoided"),
        reason=attributes.get("reason"),
        worker=attributes["worker"][0] if "worker" in attributes else None,
        started=trial.datetime_start,
        completed=trial.datetime_complete,
        gene_names=gene_names,
    )


def _epoch(epoch: int, epochs: int, top1: float, metrics: Mapping[str, float]) -> EpochResult:
    return EpochResult(int(epoch), int(epochs), float(top1), dict(metrics))


def trial_seed(study_seed: int, number: int) -> int:
    """Seed of a trial, 0 to 2**31 - 1: a function of the study's seed and the trial's number alone."""
    digest = hashlib.sha256(f"{study_seed}/{number}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % 2**31
