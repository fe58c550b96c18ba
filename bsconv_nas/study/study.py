"""A study: trials in an Optuna storage, which alone is the truth, and the files beside it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import Trial
from optuna.trial import TrialState as OptunaState

from bsconv_nas.arch_space import ArchSpace
from bsconv_nas.errors import StudyError
from bsconv_nas.evaluation import EpochResult, Job
from bsconv_nas.limits import Limits
from bsconv_nas.pareto import front_indices
from bsconv_nas.space import GeneSpace
from bsconv_nas.study.experimental import experimental_allowed
from bsconv_nas.study.records import TrialRecord, TrialState, record_of
from bsconv_nas.study.seeds import trial_seed
from bsconv_nas.study.storage import database_errors, existing_study

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1
OBJECTIVE = "macs"
_DIRECTIONS = (StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE)


class Study:
    """Trials of one search: accuracy up, MACs down, within limits.

    Read with `records`, `front`, `best` and `to_dataframe`. `folder` holds checkpoints and weights; None keeps none.
    The underlying Optuna study is `optuna_study`; Optuna's own tools open it too.
    """

    def __init__(self, optuna_study: optuna.Study, folder: Path | None = None) -> None:
        self.optuna_study = optuna_study
        self.folder = folder
        attributes = optuna_study.user_attrs
        if "schema_version" not in attributes:
            raise StudyError(f"study {optuna_study.study_name!r} has no settings of bsconv-nas; run its search again")
        if attributes.get("schema_version") != SCHEMA_VERSION:
            raise StudyError(
                f"study {optuna_study.study_name!r} was not made by this version of bsconv-nas "
                f"(schema {attributes.get('schema_version')}, expected {SCHEMA_VERSION}); choose another --study"
            )
        self.limits = Limits(attributes["limits"])
        self.seed = int(attributes["seed"])
        self._gene_names: list[str] = attributes["genes"]
        self._finished: dict[int, TrialRecord] = {}

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
    ) -> "Study":
        """Open a study to search in, creating it when there is none.

        `fixed` names what the study stands on besides the space and the limits, for example
        `{"data": fingerprint}`; it must be the same each time.

        Raises:
            StudyError: the study exists with another space, data, limits or seed.
        """
        expected: dict[str, Any] = {
            "space": space.fingerprint,
            "limits": dict(limits.bounds),
            "seed": seed,
            "genes": [gene.name for gene in space.genes],
            **fixed,
            "schema_version": SCHEMA_VERSION,  # last: it marks the study as complete
        }
        if name in optuna.get_all_study_names(storage):
            study = existing_study(storage, name)
            _refuse_foreign(study)
            # A study from before the precision was recorded was trained in float32.
            older = {"precision": "float32"} if "schema_version" in study.user_attrs else {}
            _refuse_changes(name, expected, {**older, **study.user_attrs})
        else:
            study = optuna.create_study(storage=storage, study_name=name, directions=_DIRECTIONS)
        # A driver that died in the middle of creating a study leaves some of this unset.
        with experimental_allowed():
            if study.metric_names is None:
                study.set_metric_names(["val_top1", OBJECTIVE])
        for key, value in expected.items():
            if key not in study.user_attrs:
                study.set_user_attr(key, value)
        return cls(study, folder)

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

    @property
    def all_records(self) -> list[TrialRecord]:
        """Records of all trials, running ones included, by number."""
        records: list[TrialRecord] = []
        for trial in self.optuna_study.get_trials(deepcopy=False):
            known = self._finished.get(trial.number)
            record = known or record_of(trial, self._gene_names)
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
        """Complete trials within the limits that no other dominates, by rising MACs."""
        return front_of(self.records, self.limits)

    def best(self) -> TrialRecord | None:
        """The most accurate complete trial within the limits; None while there is none."""
        front = self.front()
        return front[-1] if front else None

    def to_dataframe(self) -> "pd.DataFrame":
        """One row per finished trial, in order of completion: number, state, top1, costs, genes."""
        import pandas as pd

        rows = [
            {
                "trial": record.number,
                "state": str(record.state),
                "identity": record.identity,
                "top1": record.top1,
                "seconds": record.seconds,
                "reason": record.reason,
                **record.cost,
                **dict(zip(self._gene_names, record.genotype, strict=True)),
            }
            for record in self.records
        ]
        return pd.DataFrame(rows)

    # Writing, by the one driver

    def unfinished(self) -> list[int]:
        """Numbers of trials that a driver left running."""
        trials = self.optuna_study.get_trials(deepcopy=False, states=(OptunaState.RUNNING,))
        return [trial.number for trial in trials]

    @property
    def count(self) -> int:
        """Number of trials, running ones included."""
        return len(self.optuna_study.get_trials(deepcopy=False))

    @database_errors()
    def start(self, space: GeneSpace, sampler: BaseSampler) -> TrialRecord:
        """Have the sampler propose the next network, and store it as a running trial."""
        self.optuna_study.sampler = sampler
        return self._propose(self.optuna_study.ask(), space, sampler)

    @database_errors()
    def restart(self, number: int, space: GeneSpace, sampler: BaseSampler) -> TrialRecord:
        """Take up a running trial again; one whose proposal was not written completely is proposed again."""
        trial = self._trial(number)
        record = record_of(trial, self._gene_names)
        if record is not None:
            return record
        self.optuna_study.sampler = sampler
        return self._propose(Trial(self.optuna_study, trial._trial_id), space, sampler)  # pyright: ignore[reportPrivateUsage]

    def _propose(self, trial: Trial, space: GeneSpace, sampler: BaseSampler) -> TrialRecord:
        # Genes are stored one by one. Should the driver die between two of them, the rest must come from the same
        # proposal: Optuna takes fixed parameters before it asks a sampler.
        before = self._trial(trial.number)
        if "fixed_params" not in before.system_attrs:
            storage, trial_id = self.optuna_study._storage, trial._trial_id  # pyright: ignore[reportPrivateUsage]
            storage.set_trial_system_attr(trial_id, "fixed_params", trial.relative_params)
        for gene in space.genes:
            trial.suggest_categorical(gene.name, gene.choices)
        genotype = space.from_params(trial.params)
        costs = space.cost(genotype)
        for name, bound in self.limits.bounds.items():
            if name not in (before.constraints or {}):
                trial.set_constraint(name, costs[name] - bound)
        if isinstance(space, ArchSpace):
            trial.set_user_attr("arch", space.decode(genotype).to_dict())
        avoided = getattr(sampler, "avoided", {}).pop(trial.number, None)
        if avoided:
            trial.set_user_attr("avoided", avoided)
        trial.set_user_attr("seed", trial_seed(self.seed, trial.number))
        trial.set_user_attr("cost", costs)
        trial.set_user_attr("identity", space.identity(genotype))  # last: it marks the proposal as complete
        record = record_of(self._trial(trial.number), self._gene_names)
        assert record is not None
        return record

    def job(self, record: TrialRecord) -> Job:
        """The job that evaluates a trial."""
        return Job(
            number=record.number,
            genotype=record.genotype,
            seed=record.seed,
            arch=record.arch_spec(),
            checkpoint=self._path("checkpoints", record.number),
            weights=self._path("weights", record.number),
        )

    def weights_path(self, number: int) -> Path | None:
        """Where the weights of a trial are, if it is on the front; None in a study without a folder."""
        return self._path("weights", number)

    def _path(self, kind: str, number: int) -> Path | None:
        # Absolute: workers of a running cluster have another working directory.
        return self.folder.absolute() / kind / f"trial-{number:05d}.safetensors" if self.folder else None

    @database_errors()
    def set_curve(self, number: int, results: list[EpochResult]) -> None:
        """Store the results of a trial's epochs so far."""
        self._set(number, "curve", [[r.epoch, r.epochs, r.top1, r.metrics] for r in results])

    @database_errors()
    def complete(self, record: TrialRecord, top1: float) -> None:
        """Store the accuracy of a trial whose evaluation ended; weights beside the front are deleted."""
        before = {member.number for member in self.front()}
        self.optuna_study.tell(record.number, [top1, record.cost[OBJECTIVE]])
        self._clean_up(record.number, before)

    @database_errors()
    def stop(self, record: TrialRecord) -> None:
        """Store that a trial was stopped early."""
        self.optuna_study.tell(record.number, state=OptunaState.PRUNED)
        self._clean_up(record.number, set())

    @database_errors()
    def fail(self, number: int, reason: str) -> None:
        """Store that a trial failed, and why."""
        self._set(number, "reason", reason)
        self.optuna_study.tell(number, state=OptunaState.FAIL)
        self._clean_up(number, set())

    def _clean_up(self, number: int, front_before: set[int]) -> None:
        if self.folder is None:
            return
        front = {member.number for member in self.front()}
        gone = [self._path("weights", other) for other in ({number} | front_before) - front]
        for path in (self._path("checkpoints", number), *gone):
            if path is not None:
                path.unlink(missing_ok=True)

    def _set(self, number: int, key: str, value: Any) -> None:
        trial_id = self._trial(number)._trial_id  # pyright: ignore[reportPrivateUsage]
        self.optuna_study._storage.set_trial_user_attr(trial_id, key, value)  # pyright: ignore[reportPrivateUsage]

    def _trial(self, number: int) -> optuna.trial.FrozenTrial:
        return self.optuna_study.get_trials(deepcopy=False)[number]


def front_of(records: Sequence[TrialRecord], limits: Limits) -> list[TrialRecord]:
    """Complete trials within the limits that no other dominates, by rising MACs; of equal ones the first."""
    complete = [r for r in records if r.top1 is not None and limits.allow(r.cost)]
    chosen = front_indices([r.cost[OBJECTIVE] for r in complete], [r.top1 or 0.0 for r in complete])
    return [complete[i] for i in chosen]


def _refuse_foreign(study: optuna.Study) -> None:
    """Refuse to search in a study that was made by another program."""
    ours = "schema_version" in study.user_attrs or not study.get_trials(deepcopy=False)
    if not ours or tuple(study.directions) != _DIRECTIONS:
        raise StudyError(
            f"study {study.study_name!r} in this storage was not made by bsconv-nas; choose another name by --study"
        )


def _refuse_changes(name: str, expected: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    for key, value in expected.items():
        if key in found and found[key] != value and key != "genes":
            before, now = _difference(found[key], value)
            raise StudyError(
                f"study {name!r} was made with other {key} ({before}; now {now}); "
                f"give the same {key} again, or another name by --study"
            )


def _difference(before: Any, now: Any) -> tuple[str, str]:
    """What differs, in words: of mappings, also as JSON text, only the entries that differ."""
    one, two = _mapping(before), _mapping(now)
    if one is None or two is None:
        return str(before), str(now)
    keys = [key for key in {**one, **two} if one.get(key) != two.get(key)]
    return _entries(one, keys), _entries(two, keys)


def _mapping(value: Any) -> Mapping[str, Any] | None:
    if isinstance(value, str) and value.startswith("{"):
        value = json.loads(value)
    return value if isinstance(value, dict) else None


def _entries(values: Mapping[str, Any], keys: list[str]) -> str:
    shown = {key: values.get(key, "none") for key in keys}
    return ", ".join(f"{key} {v:.12g}" if isinstance(v, float) else f"{key} {v}" for key, v in shown.items())
