"""Opening a study to search in: made when there is none, and refused when it stands on something else."""

import json
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage
from optuna.study import StudyDirection

from bsconv_nas.errors import StudyError
from bsconv_nas.study.objective import DEFAULT_OBJECTIVE, stored_objective
from bsconv_nas.study.storage import existing_study

SCHEMA_VERSION = 1
_DIRECTIONS = (StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE)


def open_optuna_study(storage: BaseStorage, name: str, facts: Mapping[str, Any]) -> optuna.Study:
    """The Optuna study of that name with `facts` for its user attributes.

    Raises:
        StudyError: it exists with other facts, or was made by another program.
    """
    expected = {**facts, "schema_version": SCHEMA_VERSION}  # last: it marks the study as complete
    if name in optuna.get_all_study_names(storage):
        study = existing_study(storage, name)
        _refuse_foreign(study)
        # Facts that earlier versions did not store, because nothing else could be chosen.
        older = {"precision": "float32", "objective": DEFAULT_OBJECTIVE} if "schema_version" in study.user_attrs else {}
        _refuse_changes(name, expected, {**older, **study.user_attrs})
    else:
        study = optuna.create_study(storage=storage, study_name=name, directions=_DIRECTIONS)
    # A driver that died in the middle of creating a study may have left part of this unset.
    with experimental_allowed():
        if study.metric_names is None:
            study.set_metric_names(["val_top1", stored_objective(expected)])
    stored = study.user_attrs
    for key, value in expected.items():
        if key not in stored:
            study.set_user_attr(key, value)
    return study


def check_made_here(name: str, attributes: Mapping[str, Any]) -> None:
    """Refuse a study without settings of this version.

    Raises:
        StudyError: the study is incomplete, foreign or of another version.
    """
    if "schema_version" not in attributes:
        raise StudyError(f"study {name!r} has no settings of bsconv-nas; run its search again")
    if attributes["schema_version"] != SCHEMA_VERSION:
        raise StudyError(
            f"study {name!r} was not made by this version of bsconv-nas "
            f"(schema {attributes['schema_version']}, expected {SCHEMA_VERSION}); choose another --study"
        )


def _refuse_foreign(study: optuna.Study) -> None:
    """Refuse to search in a study that was made by another program."""
    ours = "schema_version" in study.user_attrs or not study.get_trials(deepcopy=False)
    if not ours or tuple(study.directions) != _DIRECTIONS:
        raise StudyError(
            f"study {study.study_name!r} in this storage was not made by bsconv-nas; choose another name by --study"
        )


def _refuse_changes(name: str, expected: Mapping[str, Any], stored: Mapping[str, Any]) -> None:
    for key, value in expected.items():
        if key in stored and stored[key] != value and key != "genes":
            before, now = _difference(stored[key], value)
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


@contextmanager
def experimental_allowed() -> Generator[None]:
    """Silence, inside a `with` block, Optuna's `ExperimentalWarning`, about which a user can do nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield
