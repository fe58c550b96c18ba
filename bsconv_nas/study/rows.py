"""Trials as short rows, read by SQL that never writes: what a page that watches a search needs, and nothing more.

Optuna's own reading takes all of a study at once: minutes at 10 000 trials. This takes the columns that are shown, and
after that only trials that were not finished when it last looked.
"""

import json
import sqlite3
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from sys import intern
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from bsconv_nas.base.limits import Limits
from bsconv_nas.errors import StorageError, StudyError
from bsconv_nas.study.objective import stored_objective
from bsconv_nas.study.reading import reading_engine
from bsconv_nas.study.records import TrialState

_STATES = {
    "RUNNING": TrialState.RUNNING,
    "WAITING": TrialState.RUNNING,
    "COMPLETE": TrialState.COMPLETE,
    "PRUNED": TrialState.STOPPED,
    "FAIL": TrialState.FAILED,
}

# The tables and columns of Optuna's database that are read here.
_STUDIES = sa.table("studies", sa.column("study_id"), sa.column("study_name"))
_STUDY_ATTRS = sa.table("study_user_attributes", sa.column("study_id"), sa.column("key"), sa.column("value_json"))
_TRIALS = sa.table(
    "trials",
    sa.column("trial_id"),
    sa.column("number"),
    sa.column("study_id"),
    sa.column("state"),
    sa.column("datetime_start", sa.DateTime),
    sa.column("datetime_complete", sa.DateTime),
)
_VALUES = sa.table("trial_values", sa.column("trial_id"), sa.column("objective"), sa.column("value"))
_ATTRS = sa.table("trial_user_attributes", sa.column("trial_id"), sa.column("key"), sa.column("value_json"))
_PARAMS = sa.table(
    "trial_params",
    sa.column("trial_id"),
    sa.column("param_name"),
    sa.column("param_value"),
    sa.column("distribution_json"),
)


class Row(NamedTuple):
    """One trial. Accuracies are fractions in [0, 1], times seconds since 1970.

    `allowed` says whether all limits hold. `epoch` of `epochs` and `latest` (the accuracy after it) are those of a
    running or stopped trial. `over` and `known` count proposals that were not trained in its place. `worker` is the
    process that its last epoch came from, at the time `heard`. `cost` has all costs by name, and `objective` the one
    that the search makes low (see `Study.objective`).
    """

    number: int
    state: str
    cost: Mapping[str, float]
    top1: float | None
    allowed: bool
    started: float | None
    completed: float | None
    identity: str
    epoch: int
    epochs: int
    latest: float | None
    over: int
    known: int
    worker: str | None
    heard: float | None
    objective: float


class StudyTable:
    """Rows of one study, kept up to date by `refresh`.

    `revision` rises with every change; `since` lists what changed after a revision. A study that is deleted and made
    again under its name counts as another one: `generation` rises, and rows start anew.

    `costs` has the names of all costs that its trials have, as an ordered set.

    Args:
        url: of the database.
        name: of the study in it.
    """

    def __init__(self, url: str, name: str) -> None:
        self.url = url
        self.name = name
        self.rows: dict[int, Row] = {}
        self.revision = 0
        self.generation = 0
        self.attributes: dict[str, Any] = {}
        self.costs: dict[str, None] = {}
        self._engine = reading_engine(url)
        self._study_id: int | None = None
        # Id and first start of the study, by which a later one of the same name is told from it.
        self._born: tuple[int, datetime | None] | None = None
        self._low = 0
        self._changed_at: dict[int, int] = {}

    def refresh(self) -> bool:
        """Read what changed; whether anything did.

        Raises:
            StudyError: the study is gone.
            StorageError: the database cannot be read.
        """
        before = self.revision
        with self.connection() as connection:
            self._follow(connection)
            self._take(self._read_rows(connection))
        return self.revision != before

    def since(self, revision: int) -> list[Row]:
        """Rows that changed after a revision; all for 0."""
        return [row for number, row in self.rows.items() if self._changed_at[number] > revision]

    @property
    def objective(self) -> str:
        """Name of the cost that the search makes low."""
        return stored_objective(self.attributes)

    @contextmanager
    def connection(self) -> Generator[sa.Connection]:
        """A connection that only reads, with errors in words."""
        try:
            with self._engine.connect() as connection:
                yield connection
        except (SQLAlchemyError, sqlite3.Error) as error:
            reason = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise StorageError(f"cannot read study {self.name!r}: {reason}; was it moved or deleted?") from error

    def trial_id(self, connection: sa.Connection, number: int) -> int:
        """The database's key of a trial.

        Raises:
            StudyError: no such trial.
        """
        query = sa.select(_TRIALS.c.trial_id).where(_TRIALS.c.study_id == self._study_id, _TRIALS.c.number == number)
        trial_id = connection.execute(query).scalar()
        if trial_id is None:
            raise StudyError(f"study {self.name!r} has no trial {number}")
        return int(trial_id)

    def user_attributes(self, number: int) -> dict[str, Any]:
        """All that is stored of one trial: curve, cost, arch, seed and so on.

        Raises:
            StudyError: no such trial.
        """
        with self.connection() as connection:
            trial_id = self.trial_id(connection, number)
            query = sa.select(_ATTRS.c.key, _ATTRS.c.value_json).where(_ATTRS.c.trial_id == trial_id)
            return {key: json.loads(value) for key, value in connection.execute(query)}

    def genotypes(self, numbers: Iterable[int]) -> dict[int, dict[str, Any]]:
        """The choice of each gene, by its name, of the trials with these numbers."""
        wanted = list(numbers)
        genotypes: dict[int, dict[str, Any]] = {number: {} for number in wanted}
        choices: dict[str, list[Any]] = {}
        columns = (_TRIALS.c.number, _PARAMS.c.param_name, _PARAMS.c.param_value, _PARAMS.c.distribution_json)
        joined = _PARAMS.join(_TRIALS, _PARAMS.c.trial_id == _TRIALS.c.trial_id)
        with self.connection() as connection:
            for part in _chunks(wanted):
                query = sa.select(*columns).select_from(joined)
                query = query.where(_TRIALS.c.study_id == self._study_id, _TRIALS.c.number.in_(part))
                for number, name, value, text in connection.execute(query):
                    if text not in choices:
                        choices[text] = json.loads(text)["attributes"]["choices"]
                    genotypes[number][name] = choices[text][int(value)]
        return genotypes

    def _follow(self, connection: sa.Connection) -> None:
        query = sa.select(_STUDIES.c.study_id).where(_STUDIES.c.study_name == self.name)
        study_id = connection.execute(query).scalar()
        if study_id is None:
            raise StudyError(f"study {self.name!r} is gone: it was deleted from its database")
        attributes = sa.select(_STUDY_ATTRS.c.key, _STUDY_ATTRS.c.value_json).where(_STUDY_ATTRS.c.study_id == study_id)
        read = {key: json.loads(value) for key, value in connection.execute(attributes)}
        if "schema_version" not in read:  # written last
            raise StudyError(f"study {self.name!r} is being made, or was not made by bsconv-nas")
        first = sa.select(_TRIALS.c.datetime_start).where(_TRIALS.c.study_id == study_id).order_by(_TRIALS.c.trial_id)
        born = (study_id, connection.execute(first.limit(1)).scalar())
        if self._is_another(born):
            self._restart()
        self._study_id, self._born, self.attributes = study_id, born, read

    def _is_another(self, born: tuple[int, datetime | None]) -> bool:
        if self._born is None or self._born == born:
            return False
        return bool(self.rows) or self._born[0] != born[0]

    def _restart(self) -> None:
        self.generation += 1
        self.revision += 1
        self.rows, self.costs, self._changed_at, self._low = {}, {}, {}, 0

    def _read_rows(self, connection: sa.Connection) -> list[Row]:
        query = self._of_study(sa.select(_TRIALS)).where(_TRIALS.c.trial_id >= self._low).order_by(_TRIALS.c.trial_id)
        trials = list(connection.execute(query))
        if not trials:
            return []
        values, attributes = self._read_values(connection), self._read_attributes(connection)
        # Next time, everything before the first trial that still runs is left out.
        running = [trial.trial_id for trial in trials if _STATES[trial.state] is TrialState.RUNNING]
        self._low = min(running, default=trials[-1].trial_id + 1)
        limits = Limits(self.attributes.get("limits", {}))
        return [
            _row(trial, values.get(trial.trial_id), attributes[trial.trial_id], limits, self.objective)
            for trial in trials
            if {"identity", "cost"} <= attributes.get(trial.trial_id, {}).keys()
        ]

    def _of_study(self, query: Any) -> Any:
        return query.where(_TRIALS.c.study_id == self._study_id)

    def _read_values(self, connection: sa.Connection) -> dict[int, float]:
        joined = _VALUES.join(_TRIALS, _VALUES.c.trial_id == _TRIALS.c.trial_id)
        query = self._of_study(sa.select(_VALUES.c.trial_id, _VALUES.c.value).select_from(joined))
        query = query.where(_VALUES.c.objective == 0, _VALUES.c.trial_id >= self._low)
        values: Any = connection.execute(query)
        return dict(values.all())

    def _read_attributes(self, connection: sa.Connection) -> dict[int, dict[str, Any]]:
        joined = _ATTRS.join(_TRIALS, _ATTRS.c.trial_id == _TRIALS.c.trial_id)
        query = self._of_study(sa.select(_ATTRS.c.trial_id, _ATTRS.c.key, _ATTRS.c.value_json).select_from(joined))
        # A finished trial's accuracy is its value: its curve is only read when someone looks at it.
        short = _ATTRS.c.key.in_(("cost", "identity", "avoided", "worker"))
        curve = sa.and_(_ATTRS.c.key == "curve", sa.cast(_TRIALS.c.state, sa.String) != "COMPLETE")
        attributes: dict[int, dict[str, Any]] = {}
        stored: Any = connection.execute(query.where(_ATTRS.c.trial_id >= self._low, sa.or_(short, curve)))
        for trial_id, key, value in stored:
            attributes.setdefault(trial_id, {})[key] = json.loads(value)
        return attributes

    def _take(self, rows: list[Row]) -> None:
        for row in rows:
            if self.rows.get(row.number) != row:
                self.revision += 1
                self.rows[row.number] = row
                self.costs |= dict.fromkeys(row.cost)
                self._changed_at[row.number] = self.revision


def _row(trial: Any, top1: float | None, attributes: Mapping[str, Any], limits: Limits, objective: str) -> Row:
    cost, avoided = attributes["cost"], attributes.get("avoided") or {}
    state = _STATES[trial.state]
    curve: list[list[Any]] = attributes.get("curve") or [[0, 0, None]]
    epoch, epochs, latest = curve[-1][:3]
    worker, heard = attributes.get("worker") or (None, None)
    return Row(
        number=trial.number,
        state=str(state),
        cost=cost,
        top1=top1 if state is TrialState.COMPLETE else None,
        allowed=all(cost.get(name, 0) <= bound for name, bound in limits.bounds.items()),
        started=_seconds(trial.datetime_start),
        completed=_seconds(trial.datetime_complete),
        identity=attributes["identity"],
        epoch=epoch,
        epochs=epochs,
        latest=latest,
        over=avoided.get("over_limit", 0),
        known=avoided.get("known", 0),
        worker=worker and intern(worker),
        heard=heard,
        objective=cost[objective],
    )


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else round(moment.replace(tzinfo=UTC).timestamp(), 2)  # as Optuna stores it


def _chunks(numbers: list[int], size: int = 500) -> Iterable[list[int]]:
    return (numbers[start : start + size] for start in range(0, len(numbers), size))
