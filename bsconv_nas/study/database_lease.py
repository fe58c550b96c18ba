"""One driver at a time in a database, also from several hosts: a row that expires unless its holder renews it.

Every transaction that writes to the study renews the row first, so a driver whose lease was taken over (it was
suspended, or cut off, for longer than the lease lasts) cannot write anything more. Times are the database's own.
"""

import os
import secrets
import socket
import threading
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from optuna.storages import BaseStorage
from sqlalchemy import Column, Connection, Float, MetaData, String, Table, delete, extract, func, select
from sqlalchemy.exc import IntegrityError, ProgrammingError, SQLAlchemyError
from sqlalchemy.sql import insert, update

from bsconv_nas.errors import StudyError
from bsconv_nas.study.database import Database
from bsconv_nas.study.outage import outlast
from bsconv_nas.study.storage import database_errors

LEASE_SECONDS = 60.0
_RENEWALS = 4  # in the time that a lease lasts
_held: set[str] = set()  # tokens of leases that this process holds or is about to take

_LEASES = Table(
    "bsconv_nas_leases",
    MetaData(),
    Column("study", String(512), primary_key=True),
    Column("token", String(32), nullable=False),
    Column("holder", String(255), nullable=False),
    Column("process", String(255), nullable=False),
    Column("until", Float(53), nullable=False),
)


@database_errors()
def storage_lease(storage: BaseStorage, name: str) -> AbstractContextManager[object]:
    """The right to write to a study of that name, which need not exist yet; nothing for a storage in memory.

    Raises:
        StudyError: another driver has it.
    """
    return DatabaseLease(storage, name) if isinstance(storage, Database) else nullcontext()


class DatabaseLease:
    """Exclusive right to write to a study of a database; a context manager, which renews it in the background.

    A lease that has expired is taken over, and so is one of a process of this machine that is no more.

    Raises:
        StudyError: another driver holds it.
    """

    def __init__(self, database: Database, name: str, seconds: float = LEASE_SECONDS) -> None:
        self._database = database
        self._name = name
        self._seconds = seconds
        self._token = secrets.token_hex(16)
        self._ended = threading.Event()
        _held.add(self._token)  # before it is taken: another thread would think that this process had left it behind
        try:
            outlast(self._take)
        except BaseException:
            _held.discard(self._token)
            raise
        database.guard = self.renew
        self._renewals = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._renewals.start()

    def renew(self, connection: Connection) -> None:
        """Renew the lease within a transaction.

        Raises:
            StudyError: another driver has taken it over.
        """
        mine = (_LEASES.c.study == self._name) & (_LEASES.c.token == self._token)
        if connection.execute(update(_LEASES).where(mine).values(until=_now() + self._seconds)).rowcount != 1:
            raise StudyError(f"study {self._name!r} has been taken over by {self._holder(connection)}; this run ends")

    def release(self) -> None:
        """Give the lease back; doing so twice does no harm, and neither does a database that is away."""
        self._ended.set()
        self._renewals.join()
        self._database.guard = None
        _held.discard(self._token)
        mine = (_LEASES.c.study == self._name) & (_LEASES.c.token == self._token)
        try:
            with self._database.engine.begin() as connection:
                connection.execute(delete(_LEASES).where(mine))
        except SQLAlchemyError:
            return  # it expires

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def _take(self) -> None:
        with suppress(IntegrityError, ProgrammingError):  # another driver made the table at this moment
            _LEASES.metadata.create_all(self._database.engine)
        row = {"token": self._token, "holder": _holder_name(), "process": _this_process()}
        try:
            with self._database.engine.begin() as connection:
                query = select(_LEASES).where(_LEASES.c.study == self._name)
                lease = connection.execute(query).mappings().one_or_none()
                if lease is None:
                    connection.execute(insert(_LEASES).values(study=self._name, until=_now() + self._seconds, **row))
                elif not self._take_over(connection, lease, row):
                    raise StudyError(self._refusal(connection, lease))
        except IntegrityError as error:  # another driver was faster by a moment
            raise StudyError(f"study {self._name!r} is being searched by another driver; wait for it") from error

    def _take_over(self, connection: Connection, lease: Any, row: dict[str, str]) -> bool:
        """Take a lease that nobody renews any more; exactly one of several drivers that try succeeds."""
        the_same = (_LEASES.c.study == self._name) & (_LEASES.c.token == lease["token"])
        # This process may have left one behind itself: on a full disk not even a release can be written.
        left_behind = lease["process"] == _this_process() and lease["token"] not in _held
        if not (left_behind or _is_dead(lease["process"])):
            the_same &= _LEASES.c.until < _now()
        taken = update(_LEASES).where(the_same).values(until=_now() + self._seconds, **row)
        return connection.execute(taken).rowcount == 1

    def _refusal(self, connection: Connection, lease: Any) -> str:
        left = max(0.0, lease["until"] - float(connection.execute(select(_now())).scalar() or 0))
        return (
            f"study {self._name!r} is being searched by {lease['holder']}; wait for it, stop it, or choose another "
            f"--study (if it is dead, its lease ends in {left:.0f} s)"
        )

    def _holder(self, connection: Connection) -> str:
        holder: str | None = connection.execute(select(_LEASES.c.holder).where(_LEASES.c.study == self._name)).scalar()
        return holder or "another driver"

    def _keep(self) -> None:
        while not self._ended.wait(self._seconds / _RENEWALS):
            try:
                with self._database.engine.begin() as connection:
                    self.renew(connection)
            except (SQLAlchemyError, StudyError):
                continue  # the next write says what is wrong, or renews it


def _now() -> Any:
    """Seconds since 1970 by the database's clock: clocks of hosts differ."""
    return extract("epoch", func.current_timestamp())


def _holder_name() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _this_process() -> str:
    return _process(os.getpid()) or ""


def _process(pid: int) -> str | None:
    """Machine, number and start of a process: a number alone is given again, in a restarted container at once."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = os.readlink("/proc/self/ns/pid")
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return f"{socket.gethostname()} {boot} {namespace} {pid} {fields[19]}"


def _is_dead(process: str) -> bool:
    """Whether a process was one of this machine and is no more; of other machines nothing is known."""
    here = _this_process().split()
    there = process.split()
    if len(here) != 5 or len(there) != 5 or here[:3] != there[:3]:
        return False
    return _process(int(there[3])) != process
