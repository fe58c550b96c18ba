"""A study: its trials in an Optuna storage, which is the only record of them, and the files beside it."""

import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.trial import Trial
from optuna.trial import TrialState as OptunaState

from bsconv_nas.base.limits import Limits
from bsconv_nas.errors import BsconvNasError, StudyError
from bsconv_nas.evaluation import EpochResult, Job
from bsconv_nas.spaces.genes import GeneSpace
from bsconv_nas.spaces.networks import ArchSpace
from bsconv_nas.study.backup import Backups, backups_of
from bsconv_nas.study.driver_storage import DriverStorage
from bsconv_nas.study.fronts import Front, front_of
from bsconv_nas.study.objective import DEFAULT_OBJECTIVE, stored_objective
from bsconv_nas.study.opening import check_made_here, open_optuna_study
from bsconv_nas.study.records import TrialRecord, TrialState, record_of, trial_seed
from bsconv_nas.study.storage import database_errors, existing_study
from bsconv_nas.study.summary import record_columns, study_html, study_line
from bsconv_nas.study.trial_files import TrialFiles

if TYPE_CHECKING:
    import pandas as pd


class Study:
    """Trials of one search: accuracy up, one cost down, within limits.

    Read with `records`, `front`, `best` and `to_dataframe`. `objective` names the cost, usually `macs`. `folder` holds
    checkpoints and weights; None keeps none.
    The underlying Optuna study is `optuna_study`; Optuna's own tools open it too.
    """

    def __init__(self, optuna_study: optuna.Study, folder: Path | None = None) -> None:
        self.optuna_study = optuna_study
        self.folder = folder
        attributes = optuna_study.user_attrs
        check_made_here(optuna_study.study_name, attributes)
        try:
            self.limits = Limits(attributes["limits"])
            self.seed = int(attributes["seed"])
            self._gene_names = [str(name) for name in attributes["genes"]]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StudyError(f"the settings of study {optuna_study.study_name!r} are damaged: {error!r}") from error
        self.objective = stored_objective(attributes)
        self._costs = (self.objective, *self.limits.bounds)
        self._finished: dict[int, TrialRecord] = {}
        self._backups: Backups | None = None
        self._genes: dict[str, BaseDistribution] | None = None
        self._files = TrialFiles(folder)

    @classmethod
    @database_errors()
    def open(
        cls,
        storage: BaseStorage,
        name: str,
        space: GeneSpace,
        limits: Limits,
        seed: int,
        fixed: Mapping[str, str],
        folder: Path | None = None,
        objective: str = DEFAULT_OBJECTIVE,
    ) -> "Study":
        """Open a study to search in, creating it when there is none.

        `fixed` names what the study stands on besides the space and the limits, for example
        `{"data": fingerprint}`; it must be the same each time. `objective` names the cost to make low.

        Raises:
            StudyError: the study exists with another space, data, limits, seed or objective.
        """
        facts: dict[str, Any] = {
            "space": space.fingerprint,
            "limits": dict(limits.bounds),
            "seed": seed,
            "genes": [gene.name for gene in space.genes],
            "objective": objective,
            **fixed,
        }
        stored = open_optuna_study(storage, name, facts)
        driving = DriverStorage(storage, stored._study_id)  # pyright: ignore[reportPrivateUsage]
        study = cls(optuna.load_study(study_name=name, storage=driving), folder)
        study.remove_strays()
        study._backups = backups_of(storage)
        study.back_up()
        return study

    @classmethod
    def load(cls, storage: BaseStorage, name: str, folder: Path | None = None) -> "Study":
        """Open an existing study for reading.

        Raises:
            StudyError: there is none of that name.
        """
        return cls(existing_study(storage, name), folder)

    @property
    def name(self) -> str:
        return self.optuna_study.study_name

    # Reading

    def __repr__(self) -> str:
        """One line: the name, trials by state, limits and the best network; the reason where trials cannot be read."""
        try:
            with database_errors():
                return study_line(self.name, self.all_records, self.limits, self.objective)
        except BsconvNasError as error:
            return f"Study {self.name!r}: {error}"

    def _repr_html_(self) -> str:
        """The front as a table, which notebooks show."""
        return study_html(self.name, self.all_records, self.limits, self.objective)

    @property
    def all_records(self) -> list[TrialRecord]:
        """Records of all trials, running ones included, by number."""
        records: list[TrialRecord] = []
        for trial in self.optuna_study.get_trials(deepcopy=False):
            known = self._finished.get(trial.number)
            record = known or record_of(trial, self._gene_names, self._costs)
            if record is not None:
                records.append(record)
                if trial.state.is_finished():
                    self._finished[trial.number] = record
        return records

    @property
    def records(self) -> list[TrialRecord]:
        """Records of finished trials, in order of completion."""
        finished = [record for record in self.all_records if record.state != TrialState.RUNNING]
        return sorted(finished, key=lambda record: (record.completed is None, record.completed, record.number))

    def front(self) -> list[TrialRecord]:
        """Complete trials within the limits that no other dominates, by rising cost (`objective`)."""
        return front_of(self.records, self.limits, self.objective)

    def best(self) -> TrialRecord | None:
        """The most accurate complete trial within the limits; None while there is none."""
        front = self.front()
        return front[-1] if front else None

    def to_dataframe(self) -> "pd.DataFrame":
        """One row per finished trial, in order of completion: number, state, top1, worker, costs, genes."""
        import pandas as pd

        return pd.DataFrame(list(map(record_columns, self.records)))

    def unfinished(self) -> list[int]:
        """Numbers of trials that run, or that a driver left running."""
        trials = self.optuna_study.get_trials(deepcopy=False, states=(OptunaState.RUNNING,))
        return [trial.number for trial in trials]

    def weights_path(self, number: int) -> Path | None:
        """Where the weights of a trial are, if it is on the front; None in a study without a folder."""
        return self._files.weights(number)

    # Writing, by the one driver: each change is one transaction

    @property
    def count(self) -> int:
        """Number of trials, running ones included."""
        return self._driving.count

    @database_errors()
    def start(self, space: GeneSpace, sampler: BaseSampler) -> TrialRecord:
        """Have the sampler propose the next network, and store it as a running trial."""
        self.optuna_study.sampler = sampler
        with self._driving.batch():
            trial = self.optuna_study.ask()
            self._propose(trial, space, sampler)
        return self._record(trial.number)

    def _propose(self, trial: Trial, space: GeneSpace, sampler: BaseSampler) -> None:
        params = {gene.name: trial.relative_params[gene.name] for gene in space.genes}
        self._driving.set_trial_params(trial._trial_id, params, self._distributions(space))  # pyright: ignore[reportPrivateUsage]
        genotype = space.from_params(params)
        costs = space.cost(genotype)
        for name, bound in self.limits.bounds.items():
            trial.set_constraint(name, costs[name] - bound)
        # Where optuna-dashboard looks for constraints. Samplers are not misled: all proposals are within the limits.
        excess = [costs[name] - bound for name, bound in self.limits.bounds.items()]
        self._driving.set_trial_system_attr(trial._trial_id, "constraints", excess)  # pyright: ignore[reportPrivateUsage]
        if isinstance(space, ArchSpace):
            trial.set_user_attr("arch", space.decode(genotype).to_dict())
        avoided = getattr(sampler, "avoided", {}).pop(trial.number, None)
        if avoided:
            trial.set_user_attr("avoided", avoided)
        trial.set_user_attr("seed", trial_seed(self.seed, trial.number))
        trial.set_user_attr("cost", costs)
        trial.set_user_attr("identity", space.identity(genotype))

    @database_errors()
    def take_up(self, number: int) -> TrialRecord | None:
        """The record of a trial that a driver left running; one without a whole proposal is failed instead."""
        record = record_of(self._driving.trial(number), self._gene_names, self._costs)
        if record is None:  # stored by an earlier version, gene by gene, or by another program
            self._end(number, OptunaState.FAIL)
        return record

    def job(self, record: TrialRecord, deadline: float | None = None) -> Job:
        """The job that evaluates a trial; `deadline` in seconds per epoch."""
        return Job(
            number=record.number,
            genotype=record.genotype,
            seed=record.seed,
            arch=record.arch_spec(),
            checkpoint=self._files.checkpoint(record.number),
            weights=self._files.weights(record.number),
            deadline=deadline,
        )

    @database_errors()
    def set_curve(self, number: int, results: list[EpochResult]) -> None:
        """Store the results of a trial's epochs so far, and from which worker the last one came just now."""
        with self._driving.batch():
            self._set(number, "curve", [[r.epoch, r.epochs, r.top1, r.metrics] for r in results])
            if results and results[-1].worker is not None:
                self._set(number, "worker", [results[-1].worker, round(time.time(), 1)])

    @database_errors()
    def complete(self, record: TrialRecord, top1: float) -> TrialRecord:
        """Store the accuracy of a trial whose evaluation ended; weights beside the front are deleted."""
        front = self._front  # as it was before this trial
        self._end(record.number, OptunaState.COMPLETE, [top1, record.cost[self.objective]])
        ended = self._record(record.number)
        self._files.remove(ended.number, [gone.number for gone in front.add(ended)])
        return ended

    @database_errors()
    def stop(self, record: TrialRecord) -> TrialRecord:
        """Store that a trial was stopped early."""
        self._end(record.number, OptunaState.PRUNED)
        return self._ended_without_accuracy(record.number)

    @database_errors()
    def fail(self, number: int, reason: str) -> TrialRecord:
        """Store that a trial failed, and why."""
        with self._driving.batch():
            self._set(number, "reason", reason)
            self._end(number, OptunaState.FAIL)
        return self._ended_without_accuracy(number)

    def remove_strays(self) -> None:
        """Remove files that a driver which died had no time to remove."""
        self._files.remove_strays(set(self.unfinished()), {member.number for member in self._front.members})

    def back_up(self, at_once: bool = True) -> None:
        """Make a backup of a SQLite file; unless `at_once`, only when the last one is ten minutes old."""
        if self._backups is not None:
            self._backups.make(at_once)

    def _ended_without_accuracy(self, number: int) -> TrialRecord:
        self._files.remove(number, [number])
        return self._record(number)

    def _end(self, number: int, state: OptunaState, values: list[float] | None = None) -> None:
        # Optuna's `tell` is not used: it returns a deep copy of the trial, which takes longer than storing it. It would
        # also inform the sampler, but a `SpaceSampler` reads the study when it proposes.
        self._driving.set_trial_state_values(self._driving.trial_id(number), state, values)

    def _set(self, number: int, key: str, value: Any) -> None:
        self._driving.set_trial_user_attr(self._driving.trial_id(number), key, value)

    def _record(self, number: int) -> TrialRecord:
        record = record_of(self._driving.trial(number), self._gene_names, self._costs)
        assert record is not None, "proposals are stored whole"
        return record

    @cached_property
    def _front(self) -> Front:
        return Front(self.limits, self.records, self.objective)

    @cached_property
    def _driving(self) -> DriverStorage:
        storage = self.optuna_study._storage  # pyright: ignore[reportPrivateUsage]
        assert isinstance(storage, DriverStorage), "only a study opened by `Study.open` can be written to"
        return storage

    def _distributions(self, space: GeneSpace) -> dict[str, BaseDistribution]:
        if self._genes is None:
            self._genes = {gene.name: CategoricalDistribution(gene.choices) for gene in space.genes}
        return self._genes
