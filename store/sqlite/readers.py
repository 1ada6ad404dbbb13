"""Read connections (aiosqlite), which see the last commit and never write.

A read is one statement, and so one snapshot. It runs and finishes within one hop to a connection's
thread: a read transaction left open while its caller awaits would keep the write-ahead log from
being checkpointed. The reads of one event-loop iteration share a hop, which costs more than most of
them.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Self, TypeAlias

import aiosqlite

from store.call_batcher import CallBatcher
from store.session import Bound, Done, Failed, Outcome, Row
from store.sqlite.connection import connect_reader
from store.sqlite.failures import translate_errors

CONNECTIONS = 2

MAX_STATEMENTS = 16
"""Maximum number of reads that share a hop: all their results are in memory at once."""

Rows: TypeAlias = list[Row]
_Read: TypeAlias = tuple[str, Bound]
"""A statement and its parameters."""


class _Connection(aiosqlite.Connection):
    async def fetch_all(self, reads: Sequence[_Read]) -> list[Outcome[Rows]]:
        # aiosqlite's methods are built on `_execute`; it has none for several statements.
        execute: Callable[..., Awaitable[list[Outcome[Rows]]]] = self._execute
        return await execute(lambda: [self._fetch(*read) for read in reads])

    def _fetch(self, sql: str, parameters: Bound) -> Outcome[Rows]:
        try:
            return Done(self._conn.execute(sql, parameters).fetchall())
        except Exception as error:  # noqa: BLE001 - it belongs to this read's caller
            return Failed(error)


class AiosqliteReaders:
    """Implements `store.session.Readers`."""

    def __init__(self, connections: Iterable[_Connection], closing: AsyncExitStack) -> None:
        self._connections = cycle(connections)
        self._closing = closing
        self._batcher = CallBatcher(self._fetch_all, MAX_STATEMENTS)

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Open the connections. The caller must close them: each is a thread."""
        async with AsyncExitStack() as stack:
            with translate_errors():
                connections = [
                    _Connection(partial(connect_reader, path), iter_chunk_size=64)
                    for _ in range(CONNECTIONS)
                ]
                for connection in connections:
                    _ = await stack.enter_async_context(connection)
            return cls(connections, stack.pop_all())

    async def fetch(self, sql: str, parameters: Bound) -> Rows:
        with translate_errors():
            return await self._batcher((sql, parameters))

    async def close(self) -> None:
        await self._batcher.finish()
        await self._closing.aclose()

    def _fetch_all(self, reads: Sequence[_Read]) -> Awaitable[list[Outcome[Rows]]]:
        return next(self._connections).fetch_all(reads)
