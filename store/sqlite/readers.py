"""Readers: aiosqlite connections that see the last commit and never write.

A read is one statement, and so one snapshot, run and finished in one hop to a connection's thread:
no read transaction stays open while its caller awaits, or the write-ahead log could not be emptied.
"""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from itertools import cycle
from pathlib import Path
from typing import Any, Protocol, Self, TypeAlias, cast

import aiosqlite

from store.sqlite.connection import BUSY_TIMEOUT, connect_reader
from store.sqlite.failures import translated

CONNECTIONS = 2

Row: TypeAlias = tuple[Any, ...]
Parameters: TypeAlias = Mapping[str, object]


class Readers(Protocol):
    """Reads from the database, each read the state of one moment."""

    async def fetch(self, sql: str, parameters: Parameters) -> list[Row]:
        """All rows of one statement. Raises `StoreUnavailable`."""
        ...

    async def close(self) -> None: ...


class AiosqliteReaders:
    """The readers of a running service."""

    def __init__(self, connections: list[aiosqlite.Connection], closing: AsyncExitStack) -> None:
        self._connections = cycle(connections)
        self._closing = closing

    @classmethod
    async def open(cls, path: Path, busy_timeout: int = BUSY_TIMEOUT) -> Self:
        """Open the connections. Whoever has them must close them: each is a thread."""
        async with AsyncExitStack() as stack:
            with translated():
                connections = [
                    await stack.enter_async_context(
                        aiosqlite.Connection(
                            lambda: connect_reader(path, busy_timeout), iter_chunk_size=64
                        )
                    )
                    for _ in range(CONNECTIONS)
                ]
            return cls(connections, stack.pop_all())

    async def fetch(self, sql: str, parameters: Parameters) -> list[Row]:
        with translated():
            rows = await next(self._connections).execute_fetchall(sql, cast(Any, parameters))
        return cast(list[Row], rows)

    async def close(self) -> None:
        await self._closing.aclose()
