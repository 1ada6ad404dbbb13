"""Readers: aiosqlite connections that see the last commit and never write.

A read is one statement, and so one snapshot, run and finished in one hop to a connection's thread:
no read transaction stays open while its caller awaits, or the write-ahead log could not be emptied.
"""

from contextlib import AsyncExitStack
from itertools import cycle
from pathlib import Path
from typing import Any, Self, cast

import aiosqlite

from store.relational.session import Parameters, Row
from store.sqlite.connection import BUSY_TIMEOUT, connect_reader
from store.sqlite.failures import translated

CONNECTIONS = 2


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
