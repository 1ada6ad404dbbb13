"""Translates PostgreSQL's errors to the store's. The only place that reads SQLSTATEs.

Codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.errors import ConnectionTimeout, UniqueViolation

from store.errors import ProviderIdTaken, StoreError, StoreFull, StoreLocked, StoreUnavailable

_CONTENTION = {
    "40001": "the write conflicted with another one",
    "40P01": "the write deadlocked with another one",
    "55P03": "another process holds a lock that the write needs",
}
_UNAVAILABLE = {
    "57014": "the statement took too long",
    "57P01": "the server is shutting down",
    "57P02": "the server has crashed",
    "57P03": "the server is not ready",
    "25006": "the server is read-only",
    "25P03": "the transaction was idle for too long",
    "26000": "the pooler has lost a prepared statement: add `listen` to the address",
}
_REFUSED = {
    "3F000": "let the search_path name a schema that exists and that the role may use",
    "42501": "let the role own the database, or give it the right (GRANT CREATE ON SCHEMA …)",
}
_CLASSES = {
    "08": "the connection failed",
    "53": "the server is out of resources",
    "58": "the server has a system error",
}


def to_store_error(error: Exception) -> StoreError | None:
    """The store's error for a failure of the database; None if it is not one.

    A violated constraint or a mistake in our SQL is not a failure of the database. One constraint
    is translated too: a provider's id that another job has is `ProviderIdTaken`.
    """
    if not isinstance(error, psycopg.Error):
        return None
    state = error.sqlstate
    if state is None:
        lost = isinstance(error, psycopg.OperationalError)
        return StoreUnavailable(in_one_line(error) or "the connection failed") if lost else None
    if state in _CONTENTION:
        return StoreLocked(f"{_CONTENTION[state]} ({state})")
    if state == "53100":
        return StoreFull("the server's disk is full")
    if state in _UNAVAILABLE:
        return StoreUnavailable(f"{_UNAVAILABLE[state]} ({state})")
    if state in _REFUSED:
        return StoreUnavailable(f"{error.diag.message_primary}: {_REFUSED[state]} ({state})")
    if state[:2] in _CLASSES:
        return StoreUnavailable(f"{_CLASSES[state[:2]]}: {in_one_line(error)} ({state})")
    if isinstance(error, UniqueViolation) and error.diag.constraint_name == "jobs_by_provider_id":
        return ProviderIdTaken(None)
    return None


def is_lost(error: Exception) -> bool:
    """Whether the connection was lost, or the server ended it. Not that the server hangs: then the
    next attempt would wait as long."""
    if not isinstance(error, psycopg.OperationalError) or isinstance(error, ConnectionTimeout):
        return False
    return error.sqlstate is None or error.sqlstate.startswith("57P")


def is_collision(error: Exception) -> bool:
    """Whether the write conflicted or deadlocked with another one. Repeating it at once may
    succeed."""
    return isinstance(error, psycopg.Error) and error.sqlstate in {"40001", "40P01"}


def in_one_line(error: Exception) -> str:
    """The last line of libpq's message, which is about the last address that it tried. Its indented
    hints about the cause are left out."""
    lines = [line for line in str(error).splitlines() if line and not line.startswith("\t")]
    return lines[-1].strip() if lines else ""


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise the store's errors instead of PostgreSQL's."""
    try:
        yield
    except psycopg.Error as error:
        if (trouble := to_store_error(error)) is not None:
            raise trouble from error
        raise
