"""The storage of the one driver: everything in memory, every change written through in one transaction.

Nobody else writes to the study (see `lease.py`), so what is in memory is what is stored, and reading costs nothing.
"""

import copy
from collections.abc import Callable, Container, Generator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from bsconv_nas.errors import StudyError
from bsconv_nas.study.database import Change, Database
from bsconv_nas.study.outage import outlast

_T = TypeVar("_T")


class DriverStorage(BaseStorage):
    """Trials of one study, in memory and in `backend`.

    Within `with storage.batch():` changes gather and are written together at its end; should it raise, none are made.

    Raises:
        StudyError: the numbers of the trials have gaps: the database was changed by hand, or is damaged.
    """

    def __init__(self, backend: BaseStorage, study_id: int) -> None:
        self._backend = backend
        self._study_id = study_id
        self._trials = sorted(backend.get_all_trials(study_id, deepcopy=False), key=lambda t: t.number)
        if [trial.number for trial in self._trials] != list(range(len(self._trials))):
            raise StudyError("trials are missing in this study's database: restore a backup, or choose another --study")
        self._numbers = {trial._trial_id: trial.number for trial in self._trials}  # pyright: ignore[reportPrivateUsage]
        self._open = {trial.number for trial in self._trials if not trial.state.is_finished()}
        self._batches = 0
        self._changes: dict[int, Change] = {}
        self._before: dict[int, FrozenTrial] = {}

    @property
    def count(self) -> int:
        """Number of trials."""
        return len(self._trials)

    @property
    def unfinished(self) -> list[int]:
        """Numbers of trials that have not ended."""
        return sorted(self._open)

    def trial_id(self, number: int) -> int:
        """Optuna's id of the trial of that number."""
        return self._trials[number]._trial_id  # pyright: ignore[reportPrivateUsage]

    def trial(self, number: int) -> FrozenTrial:
        """The trial of that number."""
        return self._trials[number]

    @contextmanager
    def batch(self) -> Generator[None]:
        """Changes in the block are stored together or, when it raises, not made."""
        self._batches += 1
        try:
            yield
            if self._batches == 1:
                self._write()
        except BaseException:
            if self._batches == 1:
                self._undo()
            raise
        finally:
            self._batches -= 1

    def _write(self) -> None:
        if not self._changes:
            return
        changes = list(self._changes.values())
        ids = self._outlast(lambda: _write_to(self._backend, self._study_id, changes))
        for number, trial_id in ids.items():
            trial = self._trials[number]
            trial._trial_id = trial_id  # pyright: ignore[reportPrivateUsage]
            self._numbers[trial_id] = number
            (self._open.discard if trial.state.is_finished() else self._open.add)(number)
        self._changes, self._before = {}, {}

    def _undo(self) -> None:
        for number in sorted(self._changes, reverse=True):
            if number in self._before:
                self._trials[number] = self._before[number]
            else:
                del self._trials[number]
                self._open.discard(number)
        self._changes, self._before = {}, {}

    def _outlast(self, operation: Callable[[], _T]) -> _T:
        return outlast(operation)

    def _edited(self, trial_id: int) -> Change:
        """The change of a trial in this batch; readers keep what they were given before."""
        number = self._numbers[trial_id]
        trial = self._trials[number]
        self.check_trial_is_updatable(trial_id, trial.state)
        if number not in self._changes:
            self._before[number] = trial
            self._trials[number] = _copied(trial)
            self._changes[number] = Change(self._trials[number])
        return self._changes[number]

    # Writing, as Optuna asks for it

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        with self.batch():
            number = len(self._trials)
            trial = _copied(template_trial) if template_trial is not None else _empty_trial()
            trial.number, trial._trial_id = number, -1 - number  # pyright: ignore[reportPrivateUsage]
            self._trials.append(trial)
            self._numbers[-1 - number] = number
            self._open.add(number)
            keys = set(trial.user_attrs), set(trial.system_attrs)
            self._changes[number] = Change(trial, True, *keys, ended=trial.state.is_finished())
        return trial._trial_id  # pyright: ignore[reportPrivateUsage]

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        with self.batch():
            change = self._edited(trial_id)
            if not change.new:
                raise StudyError(f"trial {change.trial.number} has its genes already; they cannot change")
            change.trial.params = {
                **change.trial.params,
                param_name: distribution.to_external_repr(param_value_internal),
            }
            change.trial.distributions = {**change.trial.distributions, param_name: distribution}

    def set_trial_params(
        self, trial_id: int, params: dict[str, Any], distributions: dict[str, BaseDistribution]
    ) -> None:
        """Set all genes of a new trial at once; `distributions` is shared, not copied."""
        with self.batch():
            trial = self._edited(trial_id).trial
            trial.params, trial.distributions = params, distributions

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        with self.batch():
            change = self._edited(trial_id)
            if state == TrialState.RUNNING and change.trial.state != TrialState.WAITING:
                return False
            change.trial.state = state
            change.trial.values = list(values) if values is not None else None
            change.trial.datetime_complete = datetime.now() if state.is_finished() else None
            change.ended = True
        return True

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        raise NotImplementedError("curves are kept in user attributes: Optuna reports no values of two objectives")

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        with self.batch():
            change = self._edited(trial_id)
            change.trial.user_attrs[key] = value
            change.user_keys.add(key)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        with self.batch():
            change = self._edited(trial_id)
            change.trial.system_attrs[key] = value
            change.system_keys.add(key)

    # Reading trials

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return self._trials[self._numbers[trial_id]]

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        return self._trials[trial_number]._trial_id  # pyright: ignore[reportPrivateUsage]

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        if states is None:
            trials = list(self._trials)
        elif any(state in states for state in TrialState if state.is_finished()):
            trials = [trial for trial in self._trials if trial.state in states]
        else:
            trials = [t for number in self.unfinished if (t := self._trials[number]).state in states]
        return copy.deepcopy(trials) if deepcopy else trials

    # What is about the study goes to the backend

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        raise NotImplementedError("this storage is of one study")

    def delete_study(self, study_id: int) -> None:
        raise NotImplementedError("this storage is of one study")

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self._outlast(lambda: self._backend.set_study_user_attr(study_id, key, value))

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self._outlast(lambda: self._backend.set_study_system_attr(study_id, key, value))

    def get_study_id_from_name(self, study_name: str) -> int:
        return self._outlast(lambda: self._backend.get_study_id_from_name(study_name))

    def get_study_name_from_id(self, study_id: int) -> str:
        return self._outlast(lambda: self._backend.get_study_name_from_id(study_id))

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return self._outlast(lambda: self._backend.get_study_directions(study_id))

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return self._outlast(lambda: self._backend.get_study_user_attrs(study_id))

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self._outlast(lambda: self._backend.get_study_system_attrs(study_id))

    def get_all_studies(self) -> list[FrozenStudy]:
        return self._outlast(self._backend.get_all_studies)


def _write_to(backend: BaseStorage, study_id: int, changes: Sequence[Change]) -> dict[int, int]:
    """Store changes in a database, or in Optuna's storage in memory; the ids of the trials by number."""
    if isinstance(backend, Database):
        return backend.write(study_id, changes)
    ids: dict[int, int] = {}
    for change in changes:
        trial = change.trial
        trial_id = trial._trial_id  # pyright: ignore[reportPrivateUsage]
        if change.new:
            trial_id = backend.create_new_trial(study_id, template_trial=trial)
        else:
            for key in change.user_keys:
                backend.set_trial_user_attr(trial_id, key, trial.user_attrs[key])
            for key in change.system_keys:
                backend.set_trial_system_attr(trial_id, key, trial.system_attrs[key])
            if change.ended:
                backend.set_trial_state_values(trial_id, trial.state, trial.values)
        ids[trial.number] = trial_id
    return ids


def _copied(trial: FrozenTrial) -> FrozenTrial:
    twin = copy.copy(trial)
    twin.user_attrs, twin.system_attrs = dict(trial.user_attrs), dict(trial.system_attrs)
    return twin


def _empty_trial() -> FrozenTrial:
    return FrozenTrial(
        number=0,
        state=TrialState.RUNNING,
        value=None,
        datetime_start=datetime.now(),
        datetime_complete=None,
        params={},
        distributions={},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
        trial_id=0,
    )
