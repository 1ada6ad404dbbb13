"""Read connections (aiosqlite), which see the last commit and never write.

A read is one statement, and so one snapshot. It runs and finishes within one hop to a connection's
thread: a read transaction left open while its caller awaits would keep the write-ahead log from
being checkpointed.
"""

from collections.abc import Iterable
from contextlib import AsyncExitStack
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Self, cast

import aiosqlite

from store.session import Parameters, Row
from store.sqlite.connection import connect_reader
from store.sqlite.failures import translate_errors

CONNECTIONS = 2


class AiosqliteReaders:
    """Implements `store.session.Readers`."""

    def __init__(
        self, connections: Iterable[aiosqlite.Connection], closing: AsyncExitStack
    ) -> None:
        self._connections = cycle(connections)
        self._closing = closing

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Open the connections. The caller must close them: each is a thread."""
        async with AsyncExitStack() as stack:
            with translate_errors():
                connections = [
                    await stack.enter_async_context(
                        aiosqlite.Connection(partial(connect_reader, path), iter_chunk_size=64)
                    )
                    for _ in range(CONNECTIONS)
                ]
            return cls(connections, stack.pop_all())

    async def fetch(self, sql: str, parameters: Parameters) -> list[Row]:
        with translate_errors():
            rows = await next(self._connections).execute_fetchall(sql, parameters)
        return cast(list[Row], rows)

    async def close(self) -> None:
        await self._closing.aclose()
