"""What PostgreSQL's errors mean to a store. The one place that reads SQLSTATEs.

Codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.errors import UniqueViolation

from store.errors import ProviderIdTaken, StoreError, StoreFull, StoreLocked, StoreUnavailable

_COLLISIONS = {
    "40001": "it was done at the same time as another write",
    "40P01": "it and another write waited for each other",
    "55P03": "another process holds what it needs",
}
_UNAVAILABLE = {
    "57014": "it took too long",
    "57P01": "the server is shutting down",
    "57P02": "the server has crashed",
    "57P03": "the server is not ready",
    "25006": "the server takes no writes",
    "25P03": "the transaction stood still for too long",
    "26000": "the pooler has lost a prepared statement: it needs `listen` in the address",
}
_CLASSES = {"08": "the connection failed", "53": "the server is short of", "58": "the server fails"}


def meaning(error: psycopg.Error) -> StoreError | None:
    """The trouble of the database that an error tells of; None where it is no such trouble.

    A broken constraint and a mistake in our own SQL are not: they belong to whoever caused them.
    """
    state = error.sqlstate
    if state in _COLLISIONS:
        return StoreLocked(f"{_COLLISIONS[state]} ({state})")
    if state == "53100":
        return StoreFull("the server's disk is full")
    if state in _UNAVAILABLE:
        return StoreUnavailable(f"{_UNAVAILABLE[state]} ({state})")
    if state is not None and state[:2] in _CLASSES:
        return StoreUnavailable(f"{_CLASSES[state[:2]]}: {in_one_line(error)} ({state})")
    if isinstance(error, UniqueViolation) and error.diag.constraint_name == "jobs_by_provider_id":
        return ProviderIdTaken("by a job that another process has changed just now")
    if state is None and isinstance(error, psycopg.OperationalError):
        return StoreUnavailable(in_one_line(error) or "the connection failed")
    return None


def is_of_one(error: psycopg.Error) -> bool:
    """Whether an error belongs to one write, so that those beside it can be tried without it."""
    return error.sqlstate in {*_COLLISIONS, "57014"} or not isinstance(
        meaning(error), StoreUnavailable
    )


def is_collision(error: BaseException) -> bool:
    """Whether the same write, tried again, may well succeed."""
    return isinstance(error, psycopg.Error) and error.sqlstate in {"40001", "40P01"}


def in_one_line(error: Exception) -> str:
    """The last of what libpq says, which is about the last address that it tried."""
    lines = [line.strip() for line in str(error).splitlines()]
    said = [line for line in lines if line and not line.startswith("Is the server running")]
    return said[-1] if said else ""


@contextmanager
def translated() -> Iterator[None]:
    """Raise the store's own errors for PostgreSQL's."""
    try:
        yield
    except psycopg.Error as error:
        if (trouble := meaning(error)) is not None:
            raise trouble from error
        raise
