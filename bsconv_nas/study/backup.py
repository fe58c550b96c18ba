"""Backups of a study's SQLite file, and a check before a search that the file is not damaged or cut."""

import logging
import os
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

from optuna.storages import BaseStorage, RDBStorage
from sqlalchemy.engine import URL

from bsconv_nas.errors import StorageError
from bsconv_nas.study.filesystem import network_file_system

_INTERVAL = 600.0  # seconds; a backup of 10 000 trials takes about one
_log = logging.getLogger("bsconv_nas")


class Backups:
    """Keeps `study.backup.db` beside `study.db`: made when a driver starts, every ten minutes, and when it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._made = time.monotonic()

    def check(self) -> None:
        """Refuse a file that is damaged, or holds less than its backup.

        Raises:
            StorageError: as said; the message names the backup.
        """
        with closing(sqlite3.connect(self._path)) as connection:
            try:
                (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            except sqlite3.DatabaseError as error:
                verdict = str(error)
        verdict = str(verdict).replace("*** in database main ***", "").strip().replace("\n", ", ")
        if verdict != "ok":
            raise StorageError(f"database {self._path} is damaged ({verdict}); {way_out(self._path)}")
        backup = backup_of(self._path)
        backed_up, stored = _trials(backup), _trials(self._path)
        if backed_up > stored:
            raise StorageError(
                f"database {self._path} holds {stored} trials, but its backup {backed_up}: was it cut or replaced? "
                f"{way_out(self._path)}, or remove the backup to begin anew"
            )

    def make(self, at_once: bool = True) -> None:
        """Make a backup, unless `at_once` is false and the last one is younger than ten minutes."""
        if not at_once and time.monotonic() - self._made < _INTERVAL:
            return
        self._made = time.monotonic()
        backup = backup_of(self._path)
        temporary = backup.with_name(f".{backup.name}.new")
        try:
            temporary.unlink(missing_ok=True)
            with closing(sqlite3.connect(self._path)) as source, closing(sqlite3.connect(temporary)) as target:
                source.backup(target)
                with suppress(sqlite3.OperationalError), target:  # there may be no such table
                    target.execute("DELETE FROM bsconv_nas_leases")
            os.replace(temporary, backup)
        except (sqlite3.Error, OSError) as error:  # the study itself is not in danger by this
            _log.warning("no backup of %s could be made: %s", self._path, error)
            temporary.unlink(missing_ok=True)


def backups_of(storage: BaseStorage) -> Backups | None:
    """The backups of a storage that is a SQLite file; None for any other storage."""
    file = sqlite_file(storage.engine.url) if isinstance(storage, RDBStorage) else None
    return Backups(file) if file is not None else None


def check_storage(storage: BaseStorage) -> None:
    """Check a SQLite file before a search; warn of a network file system.

    Raises:
        StorageError: the file is damaged, or holds less than its backup.
    """
    file = sqlite_file(storage.engine.url) if isinstance(storage, RDBStorage) else None
    if file is None:
        return
    file_system = network_file_system(file)
    if file_system is not None:
        _log.warning(
            "%s is on a network file system (%s), where SQLite's locks cannot be relied on; "
            "better a local --dir, or a database server by --storage",
            file,
            file_system,
        )
    Backups(file).check()


def sqlite_file(url: URL) -> Path | None:
    """The file of a SQLite database; None for other databases and for one in memory."""
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return None
    return None if str(url.database).startswith("file:") else Path(str(url.database))


def backup_of(path: Path) -> Path:
    """Where the backup of a database file is."""
    return path.with_suffix(".backup.db")


def way_out(path: Path) -> str:
    """What to do about a damaged file, in words."""
    backup = backup_of(path)
    if not backup.is_file():
        return "restore it from a copy of your own, or choose another --study"
    return f"to go on from its last backup: `rm {path}*; cp {backup} {path}`"


def _trials(path: Path) -> int:
    if not path.is_file():
        return 0
    with closing(sqlite3.connect(path)) as connection:
        try:
            return int(connection.execute("SELECT COUNT(*) FROM trials").fetchone()[0])
        except sqlite3.DatabaseError:
            return 0
