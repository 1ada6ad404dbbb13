"""A SQL backend's interface to the shared code: a write transaction and one-statement reads."""

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

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


class ReadPool(Protocol):
    """Reads from the database; each read is one snapshot."""

    async def fetch(self, sql: str, parameters: Parameters) -> list[Row]:
        """All rows of one statement. Raises `StoreUnavailable`."""
        ...

    async def close(self) -> None: ...
