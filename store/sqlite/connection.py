"""Creates and migrates a database file, and opens connections to it."""

import fcntl
import os
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

from store.errors import SchemaTooOld, StoreCorrupt, StoreLocked, StoreMoved, StoreUnavailable
from store.records.costs import EXACT, ZERO, plain
from store.sql import (
    APPLICATION_ID,
    Schema,
    Statements,
    positional,
)
from store.sqlite.failures import translate_errors

BUSY_TIMEOUT = 5_000
"""Milliseconds that a statement, or the opening, waits for another process's lock."""

LOCK_RETRY_SECONDS = 0.01
"""Between two tries to lock the folder: flock() itself can only wait without limit."""

STATEMENTS = Statements(
    Path(__file__).with_name("queries"),
    json_object="json_object",
    position="instr",
    metadata_members="json_each(:metadata)",
    ledger_members="json_each(ledger.metadata)",
    decimal_sum="decimal_sum",
    listed_hashes="SELECT value FROM json_each(:hashes)",
    listed_users="SELECT value FROM json_each(:users)",
    for_update="",  # there is one writer
    skip_locked="",
    unlikely="unlikely",
    # Without statistics, SQLite's planner would use the index of all jobs.
    unfinished_by_user="INDEXED BY jobs_unfinished_by_user",
)
SCHEMA = Schema.read(Path(__file__).parent)


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


class DecimalSum:
    """The SQL aggregate `decimal_sum`: exact, as SQLite's own sum of such texts is not."""

    def __init__(self) -> None:
        self._sum = ZERO

    def step(self, amount: Any, /) -> None:
        self._sum = EXACT.add(self._sum, Decimal(amount))

    def finalize(self) -> Any:
        return plain(self._sum)


def uri(path: Path) -> str:
    """The file's URI. `mode=rw`: a missing database is an error and is not created empty."""
    return f"file:{quote(str(path))}?mode=rw"


def connect_writer(path: Path) -> sqlite3.Connection:
    """A connection for writing: every commit is synced, transactions are explicit."""
    settings = (
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "cache_size = -32768",
        "temp_store = MEMORY",
        # After a long read, the write-ahead log is truncated to this size.
        "journal_size_limit = 67108864",
        # Some builds zero freed pages by default, which writes each of them to the WAL.
        "secure_delete = FAST",
    )
    return _connect(path, settings, check_same_thread=True)


def check_in_place(path: Path, file: os.stat_result) -> None:
    """Raises `StoreUnavailable` if the path no longer names this file: what is written to a file
    that was removed or replaced is lost at the end of the process."""
    with suppress(OSError):
        if os.path.samestat(path.stat(), file):
            return
    raise StoreUnavailable(f"the database file {path} was removed or replaced")


def connect_reader(path: Path) -> sqlite3.Connection:
    """A read-only connection, which may be used in another thread."""
    settings = ("query_only = ON", "cache_size = -8192")
    return _connect(path, settings, check_same_thread=False)


def _connect(path: Path, settings: Sequence[str], *, check_same_thread: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(
        uri(path),
        uri=True,
        isolation_level=None,
        factory=Connection,
        check_same_thread=check_same_thread,
    )
    try:
        for setting in (f"busy_timeout = {BUSY_TIMEOUT:d}", *settings):
            connection.execute(f"PRAGMA {setting}")
        connection.create_aggregate("decimal_sum", 1, DecimalSum)
    except BaseException:
        connection.close()
        raise
    return connection


def prepare(path: Path, *, upgrade: bool = True) -> None:
    """Create the database if missing, mode 0600. If it exists, `upgrade` its schema where needed;
    after that, an older release cannot use it.

    Raises `StoreUnavailable` (`StoreLocked` if another process does the same for too long),
    `StoreCorrupt` (not a database, or not one of ours), `SchemaTooNew`, `SchemaUnsupported`, and
    `SchemaTooOld` without `upgrade`; the file is then unchanged.
    """
    with translate_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():
            raise StoreUnavailable(f"{path} is not a regular file")  # chmod would change a device
        # SQLite does not wait for a lock when it switches a new file to WAL: of two processes that
        # do so at once, one would fail. Lock the folder: a running service locks the file itself.
        folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _lock(folder, path.parent)
            # SQLite creates the -wal and -shm files with the mode of the database file.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            check_wal(path)
            with closing(connect_reader(path)) as connection:
                check(connection)
                if not upgrade:
                    _check_upgraded(connection)
            if path.stat().st_mode & 0o077:
                with suppress(PermissionError):  # another owner's file: the mode is left alone
                    path.chmod(0o600)
            with closing(connect_writer(path)) as connection:
                _migrate(connection)
        finally:
            os.close(folder)


def _lock(folder: int, path: Path) -> None:
    """Lock the open folder at `path`. Raises `StoreLocked` after `BUSY_TIMEOUT`, as SQLite does."""
    until = time.monotonic() + BUSY_TIMEOUT / 1_000
    while True:
        try:
            return fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= until:
                text = f"another process has locked {path} to create or upgrade a database there"
                raise StoreLocked(text) from error
        time.sleep(LOCK_RETRY_SECONDS)


def check_wal(path: Path) -> None:
    """Refuse a backup that has replaced a database whose -wal file is still there: SQLite would
    apply that log to the backup. A backup on which no service has run is not in WAL mode, which its
    header says (https://sqlite.org/fileformat2.html#file_format_version_numbers), so the log cannot
    be its own. Raises `StoreUnavailable`."""
    log = path.with_name(f"{path.name}-wal")
    with path.open("rb") as file:
        versions = file.read(20)[18:]
    if versions == b"\1\1" and log.exists() and log.stat().st_size:
        raise StoreUnavailable(f"{log} is the log of another database than {path}: move it away")


def check(connection: sqlite3.Connection) -> None:
    """Raises `StoreCorrupt` if a database is not ours, `SchemaTooNew` and `SchemaUnsupported`."""
    fresh = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
    if not fresh and _pragma(connection, "application_id") != APPLICATION_ID:
        raise StoreCorrupt("the file is a database of another application")
    SCHEMA.missing(_pragma(connection, "user_version"))


def check_not_moved(connection: sqlite3.Connection, path: Path) -> None:
    """Raises `StoreMoved` if another database has replaced the one at `path`."""
    moved = connection.execute(STATEMENTS.load("database")["read-moved-mark"]).fetchone()
    if moved is not None:
        raise StoreMoved(f"the database {path} has moved to {moved[0]}")


def _check_upgraded(connection: sqlite3.Connection) -> None:
    """Raises `SchemaTooOld` if an older release wrote the database."""
    if 0 < (version := _pragma(connection, "user_version")) < SCHEMA.version:
        raise SchemaTooOld(
            f"an older release has written this database (schema {version}), and may still use it"
        )


def _migrate(connection: sqlite3.Connection) -> None:
    """Run the missing scripts in one transaction. If one fails, the transaction is left open:
    closing the connection rolls it back."""
    if scripts := SCHEMA.missing(_pragma(connection, "user_version")):
        numbers = (
            f"PRAGMA application_id = {APPLICATION_ID:d};\n"
            f"PRAGMA user_version = {SCHEMA.version:d};\n"
        )
        connection.executescript("\n".join(["BEGIN IMMEDIATE;", *scripts, numbers, "COMMIT;"]))


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
