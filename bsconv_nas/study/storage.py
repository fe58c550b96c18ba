"""Optuna storages: SQLite with a write-ahead log by default, any URL that Optuna takes, or memory."""

import re
import time
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, InMemoryStorage
from sqlalchemy import event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, ProgrammingError, SQLAlchemyError

from bsconv_nas.errors import StorageError, StudyError, UsageError
from bsconv_nas.study.backup import backup_of, sqlite_file, way_out
from bsconv_nas.study.database import Database
from bsconv_nas.study.outage import first_line

_BUSY_SECONDS = 60
_CONNECT_SECONDS = 10
_PAUSES = (0.1, 0.5, 2.0)  # seconds between attempts to make the tables
_SECRET = re.compile(r"pass|pwd|secret|token|key", re.IGNORECASE)


def open_storage(url: str | None) -> BaseStorage:
    """Open a storage by URL; None keeps everything in memory.

    Raises:
        UsageError: not a database URL, or a driver that is not installed.
        StorageError: the database cannot be opened or written.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if url is None:
        return InMemoryStorage()
    try:
        parsed = _with_driver(make_url(url))
        is_sqlite = parsed.get_backend_name() == "sqlite"
        storage = _connected(parsed)
    except ArgumentError as error:
        shown = re.sub(r":[^:@/]*@", ":***@", url)  # it may have a password even so
        raise UsageError(f"storage {shown!r} is not a database URL; write for example sqlite:///study.db") from error
    except ImportError as error:
        raise UsageError(
            f"storage {hidden(url)} needs a driver: {error.__cause__ or error}; install it"
            + (" by `pip install 'bsconv-nas[postgres]'`" if "psycopg" in str(error.__cause__) else "")
        ) from error
    except (SQLAlchemyError, OSError) as error:
        raise StorageError(f"cannot open storage {hidden(url)}: {first_line(error)}; {_advice(url)}") from error
    except RuntimeError as error:
        raise StudyError(f"storage {hidden(url)} was made by another version of Optuna: {first_line(error)}") from error
    if is_sqlite:
        _use_write_ahead_log(storage, url)
    return storage


@contextmanager
def database_errors() -> Generator[None]:
    """Turn the errors of a database in use (full disk, lost connection, lock) into `StorageError`."""
    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        raise StorageError(
            f"cannot write to the study's database: {first_line(error)}; make room or check the connection, "
            "then run the same command again: what is stored is kept"
        ) from error


def sqlite_url(path: Path) -> str:
    """URL of a SQLite file."""
    return f"sqlite:///{path.resolve()}"


def hidden(url: str) -> str:
    """The URL with its secrets left out, for messages and files."""
    parsed = make_url(url)
    shown = {key: "***" if _SECRET.search(key) else value for key, value in parsed.query.items()}
    return parsed.set(query=shown).render_as_string(hide_password=True)


def has_password(url: str) -> bool:
    """Whether the URL carries a secret, which must not be written anywhere."""
    parsed = make_url(url)
    return parsed.password is not None or any(_SECRET.search(key) for key in parsed.query)


def _connected(url: URL) -> Database:
    """The database, with its tables made where there are none.

    Drivers that start at once on an empty database make its tables against each other. All but one fail, and find the
    tables made when they try again.
    """
    address, options = url.render_as_string(hide_password=False), _engine_options(url)
    for pause in _PAUSES:
        try:
            return Database(address, engine_kwargs=options)
        except (IntegrityError, ProgrammingError):
            time.sleep(pause)
    return Database(address, engine_kwargs=options)


def _with_driver(url: URL) -> URL:
    """`postgresql://` for whichever driver is installed; SQLAlchemy itself takes it for psycopg2 alone."""
    if url.drivername in ("postgresql", "postgres") and find_spec("psycopg2") is None:
        return url.set(drivername="postgresql+psycopg")
    return url


def _engine_options(url: URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": _BUSY_SECONDS}}
    # A connection that died in an outage is noticed before it is used, and a server that does not answer is not
    # waited for without end: see `outage.py`.
    timeout = {"connect_timeout": _CONNECT_SECONDS} if url.get_backend_name() in ("postgresql", "mysql") else {}
    return {"pool_pre_ping": True, "connect_args": timeout}


def _advice(url: str) -> str:
    file = sqlite_file(make_url(url))
    damaged = file is not None and file.is_file() and backup_of(file).is_file()
    return way_out(file) if file is not None and damaged else "check path and permissions"


def existing_study(storage: BaseStorage, name: str) -> optuna.Study:
    """The Optuna study of that name.

    Raises:
        StudyError: there is none.
    """
    try:
        return optuna.load_study(study_name=name, storage=storage)
    except KeyError as error:
        known = ", ".join(optuna.get_all_study_names(storage)) or "none"
        raise StudyError(f"no study {name!r} in this storage; it holds: {known}") from error


def _use_write_ahead_log(storage: Database, url: str) -> None:
    # Readers (dashboards) do not block the writer, and a commit needs no fsync of its own; after a power cut the last
    # commits may be missing, after a crash of a program none are.
    def set_pragmas(connection: Any, record: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.close()

    event.listen(storage.engine, "connect", set_pragmas)
    try:
        storage.engine.dispose()
        with storage.engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        raise StorageError(
            f"cannot write storage {hidden(url)}: {first_line(error)}; check path and permissions"
        ) from error
