"""What SQLite's error codes mean to a store. The one place that reads them.

Codes: https://sqlite.org/rescode.html
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from store.errors import StoreCorrupt, StoreError, StoreFull, StoreLocked

_MEANING: dict[int, tuple[type[StoreError], str]] = {
    sqlite3.SQLITE_BUSY: (StoreLocked, "another process holds the database"),
    sqlite3.SQLITE_LOCKED: (StoreLocked, "another process holds the database"),
    sqlite3.SQLITE_PROTOCOL: (StoreLocked, "another process holds the database"),
    sqlite3.SQLITE_FULL: (StoreFull, "the disk is full"),
    sqlite3.SQLITE_IOERR: (StoreFull, "the disk fails"),
    sqlite3.SQLITE_READONLY: (StoreFull, "the database cannot be written to"),
    sqlite3.SQLITE_CANTOPEN: (StoreFull, "the database cannot be opened"),
    sqlite3.SQLITE_PERM: (StoreFull, "the database cannot be opened"),
    sqlite3.SQLITE_NOTADB: (StoreCorrupt, "the file is no database"),
    sqlite3.SQLITE_CORRUPT: (StoreCorrupt, "the database is damaged"),
    sqlite3.SQLITE_FORMAT: (StoreCorrupt, "the file is no database"),
}


def meaning(error: sqlite3.Error) -> StoreError | None:
    """The trouble of the database that an error tells of; None where it is no such trouble.

    A broken constraint and a mistake in our own SQL are not: they belong to whoever caused them.
    """
    # Errors that the sqlite3 module raises by itself (a misuse of it) carry no code.
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code is None or (found := _MEANING.get(code & 0xFF)) is None:
        return None
    kind, words = found
    return kind(f"{words} ({error.sqlite_errorname})")


@contextmanager
def translated() -> Iterator[None]:
    """Raise the store's own errors for SQLite's, and for the file system's."""
    try:
        yield
    except sqlite3.Error as error:
        if (trouble := meaning(error)) is not None:
            raise trouble from error
        raise
    except OSError as error:
        raise StoreFull(f"{error.strerror}: {error.filename}") from error
