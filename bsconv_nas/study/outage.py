"""Waiting for a database that cannot be reached: a server that restarts, a lock held by another program."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError, OperationalError

OUTAGE_SECONDS = 600.0  # how long to wait; a restart of a server takes seconds, a failover minutes
_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 5.0
_RETRIED = ("08", "57P", "40001", "40P01")  # SQLSTATE: connection, shutdown and start, serialisation, deadlock

_T = TypeVar("_T")
_log = logging.getLogger("bsconv_nas")


def outlast(operation: Callable[[], _T]) -> _T:
    """Run an operation that may be repeated, again and again while the database cannot be reached.

    Raises:
        SQLAlchemyError, StorageInternalError: it failed for another reason, or the outage lasted too long.
    """
    end = time.monotonic() + OUTAGE_SECONDS
    pause = _FIRST_PAUSE
    while True:
        try:
            result = operation()
        except (DBAPIError, StorageInternalError) as error:
            if not is_outage(error) or time.monotonic() + pause >= end:
                raise
            if pause == _FIRST_PAUSE:
                _log.warning("waiting for the study's database (at most %.0f s): %s", OUTAGE_SECONDS, first_line(error))
        else:
            if pause > _FIRST_PAUSE:
                _log.warning("the study's database is back")
            return result
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def is_outage(error: BaseException) -> bool:
    """Whether trying again later may help: no connection, a server that starts or stops, a lock."""
    database_error = error if isinstance(error, DBAPIError) else error.__cause__
    if not isinstance(database_error, DBAPIError):
        return False
    if database_error.connection_invalidated:
        return True
    state = getattr(database_error.orig, "sqlstate", None)
    if state is not None:
        return str(state).startswith(_RETRIED)
    if type(database_error.orig).__module__.startswith("sqlite3"):
        return "locked" in str(database_error.orig)
    return isinstance(database_error, OperationalError)


def first_line(error: BaseException) -> str:
    """What the database said, in one line."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) and error.__cause__ else error
    lines = str(getattr(cause, "orig", None) or cause).splitlines()
    return lines[0] if lines else type(cause).__name__
