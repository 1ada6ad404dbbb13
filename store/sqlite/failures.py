"""Translates SQLite's errors to the store's. The only place that reads its error codes.

Codes: https://sqlite.org/rescode.html
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from store.errors import StoreCorrupt, StoreError, StoreFull, StoreLocked

_STORE_ERRORS: dict[int, tuple[type[StoreError], str]] = {
    sqlite3.SQLITE_BUSY: (StoreLocked, "another process has locked the database"),
    sqlite3.SQLITE_LOCKED: (StoreLocked, "another process has locked the database"),
    sqlite3.SQLITE_PROTOCOL: (StoreLocked, "another process has locked the database"),
    sqlite3.SQLITE_FULL: (StoreFull, "the disk is full"),
    sqlite3.SQLITE_IOERR: (StoreFull, "the disk reported an error"),
    sqlite3.SQLITE_READONLY: (StoreFull, "the database cannot be written to"),
    sqlite3.SQLITE_CANTOPEN: (StoreFull, "the database cannot be opened"),
    sqlite3.SQLITE_PERM: (StoreFull, "the database cannot be opened"),
    sqlite3.SQLITE_NOTADB: (StoreCorrupt, "the file is not a database"),
    sqlite3.SQLITE_CORRUPT: (StoreCorrupt, "the database is damaged"),
    sqlite3.SQLITE_FORMAT: (StoreCorrupt, "the file is not a database"),
}


def to_store_error(error: BaseException) -> StoreError | None:
    """The store's error for a failure of the database; None if it is not one.

    A violated constraint or a mistake in our SQL is not a failure of the database.
    """
    # Errors that the sqlite3 module itself raises (for misuse) have no code.
    if not (isinstance(error, sqlite3.Error) and hasattr(error, "sqlite_errorcode")):
        return None
    found = _STORE_ERRORS.get(error.sqlite_errorcode & 0xFF)
    if found is None:
        return None
    kind, words = found
    return kind(f"{words} ({error.sqlite_errorname})")


def may_have_committed(error: sqlite3.Error) -> bool:
    """Whether a COMMIT that failed with this error may have been written.

    A failure before the last frame is in the log (a full disk, a lock, a write) is rolled back.
    When the sync or a later step fails, the whole transaction is in the log. No connection reads
    it, and the next commit overwrites it; but if the machine crashes before that, the recovery
    applies it. (Observed with a failing fsync; https://sqlite.org/walformat.html#recovery.)
    """
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return (
        code is not None
        and code & 0xFF == sqlite3.SQLITE_IOERR
        and code != sqlite3.SQLITE_IOERR_WRITE
    )


@contextmanager
def translate_errors(file: Path | None = None) -> Iterator[None]:
    """Raise the store's errors instead of the file system's, and of SQLite's for a failure of the
    database (`to_store_error`). The message names `file` if the system's error names none, as for a
    call by descriptor such as flock."""
    try:
        yield
    except sqlite3.Error as error:
        if (trouble := to_store_error(error)) is not None:
            raise trouble from error
        raise
    except OSError as error:
        raise StoreFull(f"{error.strerror}: {error.filename or file}") from error
