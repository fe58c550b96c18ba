"""Connections to a study's database that cannot write."""

import sqlite3
from pathlib import Path

import sqlalchemy as sa


def reading_engine(url: str) -> sa.Engine:
    """An engine whose connections only read: what watches a search must never disturb it."""
    parsed = sa.engine.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        options = {"postgresql_readonly": True} if parsed.get_backend_name() == "postgresql" else {}
        return sa.create_engine(url, pool_pre_ping=True).execution_options(**options)
    path = Path(parsed.database or "").absolute()

    def connect() -> sqlite3.Connection:
        # `mode=ro` also never creates a database where one was deleted.
        return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5, check_same_thread=False)

    # No pool: a connection that stayed open would go on reading a file that was deleted and made anew.
    return sa.create_engine("sqlite://", creator=connect, poolclass=sa.pool.NullPool)
