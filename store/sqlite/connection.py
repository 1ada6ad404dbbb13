"""Creates and migrates a database file, and opens connections to it."""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from store import migrate
from store.errors import StoreCorrupt
from store.sqlite.failures import translated
from store.statements import positional

BUSY_TIMEOUT = 5_000
"""Milliseconds that a statement waits for another process's lock."""

WAL_LIMIT = 64 * 1024 * 1024
"""Bytes to which the write-ahead log file is truncated after a checkpoint."""

LONG_LOG = 8_000
"""Pages of the write-ahead log (32 MiB) above which commits checkpoint it too, not only
`store.sqlite.checkpoints`."""

MIGRATIONS = migrate.load(Path(__file__).with_name("migrations"))

_APPLICATION_ID = 0x72637672
"""`PRAGMA application_id` of our databases ("rcvr")."""

_STATEMENTS = 512
"""Size of a connection's statement cache: larger than the number of statements, including those for
every number of rows (`store.statements.MultiRowStatement`)."""


class Connection(sqlite3.Connection):
    """Takes named parameters and binds them by position.

    The driver releases the GIL for every name that it looks up, and the event loop takes it: a
    statement with seven parameters waited eight times.
    """

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if isinstance(parameters, dict):
            sql, names = positional(sql)
            parameters = [parameters[name] for name in names]
        return super().execute(sql, parameters)


def uri(path: Path) -> str:
    """The file's URI. `mode=rw`: a missing database is an error and is not created empty."""
    return f"file:{quote(str(path))}?mode=rw"


def connect_writer(path: Path, busy_timeout: int = BUSY_TIMEOUT) -> sqlite3.Connection:
    """A connection for writing: every commit is synced, transactions are explicit."""
    connection = sqlite3.connect(
        uri(path),
        uri=True,
        isolation_level=None,
        cached_statements=_STATEMENTS,
        factory=Connection,
    )
    try:
        connection.execute(f"PRAGMA busy_timeout = {busy_timeout:d}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT:d}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {LONG_LOG:d}")
        connection.execute("PRAGMA cache_size = -32768")
        connection.execute("PRAGMA temp_store = MEMORY")
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(path: Path, busy_timeout: int = BUSY_TIMEOUT) -> sqlite3.Connection:
    """A read-only connection, which may be used in another thread."""
    connection = sqlite3.connect(
        uri(path),
        uri=True,
        isolation_level=None,
        cached_statements=_STATEMENTS,
        factory=Connection,
        check_same_thread=False,
    )
    try:
        connection.execute(f"PRAGMA busy_timeout = {busy_timeout:d}")
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA cache_size = -8192")
    except BaseException:
        connection.close()
        raise
    return connection


def prepare(path: Path, busy_timeout: int = BUSY_TIMEOUT) -> None:
    """Create the database if missing, mode 0600, and migrate its schema.

    Raises `StoreUnavailable`, `StoreCorrupt` (not a database, or not one of ours) and
    `SchemaTooNew`; the file is then unchanged.
    """
    with translated():
        path.parent.mkdir(parents=True, exist_ok=True)
        # SQLite's -wal and -shm files get the same mode as the database.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        if path.stat().st_mode & 0o077:
            with suppress(PermissionError):  # another owner's file: the mode is left alone
                path.chmod(0o600)
        with closing(connect_reader(path, busy_timeout)) as connection:
            _check(connection)
        with closing(connect_writer(path, busy_timeout)) as connection:
            _migrate(connection)


def _check(connection: sqlite3.Connection) -> None:
    """Refuse a database that is not ours, before anything is written."""
    fresh = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
    if not fresh and _application(connection) != _APPLICATION_ID:
        raise StoreCorrupt("the file is a database of another application")
    migrate.pending(MIGRATIONS, _version(connection))


def _migrate(connection: sqlite3.Connection) -> None:
    if _version(connection) == len(MIGRATIONS):
        return
    # The version is read again under the lock: two processes may open a new database at once.
    connection.execute("BEGIN IMMEDIATE")
    try:
        _check(connection)
        for step in migrate.pending(MIGRATIONS, _version(connection)):
            for statement in _statements(step.sql):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {step.number:d}")
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID:d}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _application(connection: sqlite3.Connection) -> int:
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    return application


def _statements(script: str) -> list[str]:
    """A script's statements, one by one: `executescript` would commit first."""
    found, current = [], ""
    for line in script.splitlines(keepends=True):
        current += line
        if sqlite3.complete_statement(current):
            found.append(current)
            current = ""
    return found
