"""A unit of work, and a SQL backend's interface to the shared code: a write transaction and
one-statement reads."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias, TypeVar

from store.changes import CommitNotice

T = TypeVar("T")

Row: TypeAlias = tuple[Any, ...]
Parameters: TypeAlias = Mapping[str, object]


class Result(Protocol):
    """A statement's result."""

    @property
    def rowcount(self) -> int: ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...


class Session(Protocol):
    """The open write transaction. `sqlite3.Connection` and `PostgresSession` implement it."""

    def execute(self, sql: str, parameters: Any = ..., /) -> Result: ...


Work: TypeAlias = Callable[[Session, CommitNotice], T]
"""A unit of work: it writes within the open transaction, adds what subscribers have to know to the
notice, and returns the value for its caller. When it raises, all of its writes are rolled back, and
nobody else's. It must neither commit nor block, and it may be run again after a rollback.

On PostgreSQL, units of work run at the same time. One that changes a job locks it first
(`lock-job`), and takes a position in its user's log last."""


class ReadPool(Protocol):
    """Reads from the database; each read is one snapshot."""

    async def fetch(self, sql: str, parameters: Parameters) -> list[Row]:
        """All rows of one statement. Raises `StoreUnavailable`."""
        ...

    async def close(self) -> None: ...
