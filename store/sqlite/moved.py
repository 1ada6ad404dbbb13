"""Marks a database that was copied to another one, which replaces it."""

from contextlib import closing
from pathlib import Path

from store.errors import StoreMoved
from store.sqlite.connection import BUSY_TIMEOUT, connect_reader, connect_writer
from store.sqlite.failures import translated
from store.sqlite.sql import STATEMENTS

_SQL = STATEMENTS.load("database")


def mark_moved(path: Path, to: str) -> None:
    """Prevent serving from the database from now on. The error names `to`.

    Raises `StoreUnavailable` if it cannot be written.
    """
    with translated(), closing(connect_writer(path)) as connection:
        connection.execute(_SQL["mark-moved"], {"to": to})


def check_not_moved(path: Path, busy_timeout: int = BUSY_TIMEOUT) -> None:
    """Raises `StoreMoved` if the database is marked, and `StoreUnavailable`."""
    with translated(), closing(connect_reader(path, busy_timeout)) as connection:
        moved = connection.execute(_SQL["read-moved-mark"]).fetchone()
    if moved is not None:
        raise StoreMoved(f"the database {path} has moved to {moved[0]}")


def is_unsure(path: Path) -> bool:
    """Whether unsent submissions may have been sent from another database: this one was moved, or
    is a copy that was never served from. Raises `StoreUnavailable`."""
    with translated(), closing(connect_reader(path)) as connection:
        return connection.execute(_SQL["read-unsure-mark"]).fetchone() is not None
