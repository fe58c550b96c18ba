"""Optuna's database, read a whole study at a time and written a whole change at a time.

Optuna stores a proposal of 40 genes in over 40 transactions and reads trials object by object. Here a proposal is one
transaction, so a driver that dies leaves it whole or not at all, and a study is five queries.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import ColumnElement, Connection, Table, and_, delete, insert, or_, select, update

from bsconv_nas.errors import StudyError

_TRIALS: Table = models.TrialModel.__table__  # type: ignore[assignment]
_PARAMS: Table = models.TrialParamModel.__table__  # type: ignore[assignment]
_VALUES: Table = models.TrialValueModel.__table__  # type: ignore[assignment]
_USER: Table = models.TrialUserAttributeModel.__table__  # type: ignore[assignment]
_SYSTEM: Table = models.TrialSystemAttributeModel.__table__  # type: ignore[assignment]
_STEPS: Table = models.TrialIntermediateValueModel.__table__  # type: ignore[assignment]

_to_text = lru_cache(maxsize=4096)(distribution_to_json)
_of_text = lru_cache(maxsize=4096)(json_to_distribution)


@dataclass(slots=True)
class Change:
    """A trial as it is to become, and which parts of it differ from what is stored."""

    trial: FrozenTrial
    new: bool = False
    user_keys: set[str] = field(default_factory=set[str])
    system_keys: set[str] = field(default_factory=set[str])
    ended: bool = False


class Database(RDBStorage):
    """An Optuna database. `guard` is called first in every transaction of `write`; what it raises undoes it."""

    guard: Callable[[Connection], None] | None = None

    def write(self, study_id: int, changes: Iterable[Change]) -> dict[int, int]:
        """Store changes in one transaction; the ids of new trials by number.

        Doing so again does no harm: after a lost connection nobody knows whether the transaction was the last thing
        that the server did.

        Raises:
            StudyError: another program has added trials to the study.
        """
        with self.engine.begin() as connection:
            if self.guard is not None:
                self.guard(connection)
            return {change.trial.number: self._write(connection, study_id, change) for change in changes}

    def _write(self, connection: Connection, study_id: int, change: Change) -> int:
        trial = change.trial
        trial_id = trial._trial_id  # pyright: ignore[reportPrivateUsage]
        if change.new:
            stored_id = _stored_id(connection, study_id, trial)
            if stored_id is not None:
                return stored_id
            trial_id = _insert_trial(connection, study_id, trial)
        for table, attributes, keys in (
            (_USER, trial.user_attrs, change.user_keys),
            (_SYSTEM, trial.system_attrs, change.system_keys),
        ):
            if keys and not change.new:
                connection.execute(delete(table).where(table.c.trial_id == trial_id, table.c.key.in_(keys)))
            rows = [{"trial_id": trial_id, "key": k, "value_json": json.dumps(attributes[k])} for k in keys]
            if rows:
                connection.execute(insert(table), rows)
        if change.ended:
            _end_trial(connection, trial_id, trial)
        return trial_id

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        which = _TRIALS.c.study_id == study_id
        if trial_id_greater_than > -1:
            later = _TRIALS.c.trial_id > trial_id_greater_than
            which = and_(which, or_(later, _TRIALS.c.trial_id.in_(included_trial_ids)))
        if states is not None:
            which = and_(which, _TRIALS.c.state.in_([state for state in TrialState if state in states]))
        with self.engine.connect() as connection:
            return _read(connection, which)


def _stored_id(connection: Connection, study_id: int, trial: FrozenTrial) -> int | None:
    """Id of the trial if it is already stored."""
    same = and_(_TRIALS.c.study_id == study_id, _TRIALS.c.number == trial.number)
    trial_id: int | None = connection.execute(select(_TRIALS.c.trial_id).where(same)).scalar()
    if trial_id is not None:
        query = select(_USER.c.value_json).where(_USER.c.trial_id == trial_id, _USER.c.key == "identity")
        if connection.execute(query).scalar() != json.dumps(trial.user_attrs.get("identity")):
            raise StudyError(f"another program has added trial {trial.number} to this study; choose another --study")
    return trial_id


def _insert_trial(connection: Connection, study_id: int, trial: FrozenTrial) -> int:
    row = {"study_id": study_id, "number": trial.number, "state": trial.state}
    result = connection.execute(insert(_TRIALS), {**row, "datetime_start": _utc(trial.datetime_start)})
    assert result.inserted_primary_key is not None
    trial_id: int = result.inserted_primary_key[0]
    rows = [
        {
            "trial_id": trial_id,
            "param_name": name,
            "param_value": trial.distributions[name].to_internal_repr(value),
            "distribution_json": _to_text(trial.distributions[name]),
        }
        for name, value in trial.params.items()
    ]
    if rows:
        connection.execute(insert(_PARAMS), rows)
    return trial_id


def _end_trial(connection: Connection, trial_id: int, trial: FrozenTrial) -> None:
    connection.execute(delete(_VALUES).where(_VALUES.c.trial_id == trial_id))
    for objective, value in enumerate(trial.values or ()):
        stored, value_type = models.TrialValueModel.value_to_stored_repr(value)
        row = {"trial_id": trial_id, "objective": objective, "value": stored, "value_type": value_type}
        connection.execute(insert(_VALUES), row)
    ended = update(_TRIALS).where(_TRIALS.c.trial_id == trial_id)
    connection.execute(ended.values(state=trial.state, datetime_complete=_utc(trial.datetime_complete)))


def _read(connection: Connection, which: ColumnElement[bool]) -> list[FrozenTrial]:
    params = _children(connection, which, _PARAMS, "param_name", "param_value", "distribution_json", order="param_id")
    values = _children(connection, which, _VALUES, "objective", "value", "value_type")
    user = _children(connection, which, _USER, "key", "value_json")
    system = _children(connection, which, _SYSTEM, "key", "value_json")
    steps = _children(connection, which, _STEPS, "step", "intermediate_value", "intermediate_value_type")
    shared: dict[tuple[Any, ...], dict[str, BaseDistribution]] = {}
    trials: list[FrozenTrial] = []
    for row in connection.execute(select(_TRIALS).where(which).order_by(_TRIALS.c.trial_id)).mappings():
        trial_id = row["trial_id"]
        texts = tuple((name, text) for name, _, text in params[trial_id])
        if texts not in shared:  # nearly all trials have the same
            shared[texts] = {name: _of_text(text) for name, text in texts}
        distributions = shared[texts]
        trials.append(
            FrozenTrial(
                number=row["number"],
                state=row["state"],
                value=None,
                values=_values_of(values[trial_id]),
                datetime_start=_local(row["datetime_start"]),
                datetime_complete=_local(row["datetime_complete"]),
                params={name: distributions[name].to_external_repr(value) for name, value, _ in params[trial_id]},
                distributions=distributions,
                user_attrs={key: json.loads(text) for key, text in user[trial_id]},
                system_attrs={key: json.loads(text) for key, text in system[trial_id]},
                intermediate_values={
                    step: models.TrialIntermediateValueModel.stored_repr_to_intermediate_value(value, value_type)
                    for step, value, value_type in steps[trial_id]
                },
                trial_id=trial_id,
            )
        )
    return trials


def _children(
    connection: Connection, which: ColumnElement[bool], table: Table, *columns: str, order: str | None = None
) -> Mapping[int, Sequence[Any]]:
    """Rows of a table that belong to trials, by trial id."""
    query = select(table.c.trial_id, *(table.c[name] for name in columns))
    query = query.join(_TRIALS, _TRIALS.c.trial_id == table.c.trial_id).where(which)
    if order is not None:
        query = query.order_by(table.c[order])
    children: dict[int, list[Any]] = defaultdict(list)
    for trial_id, *rest in connection.execute(query):
        children[trial_id].append(rest)
    return children


def _values_of(rows: Sequence[Any]) -> list[float] | None:
    ordered = sorted(rows, key=lambda row: row[0])
    return [models.TrialValueModel.stored_repr_to_value(value, value_type) for _, value, value_type in ordered] or None


def _utc(moment: datetime | None) -> datetime | None:
    return moment.astimezone(UTC).replace(tzinfo=None) if moment is not None else None


def _local(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC).astimezone().replace(tzinfo=None) if moment is not None else None
