"""Read connections (aiosqlite), which see the last commit and never write.

A read is one statement, and so one snapshot. It runs and finishes within one hop to a connection's
thread: a read transaction left open while its caller awaits would keep the write-ahead log from
being checkpointed. The reads of one event-loop iteration share a hop, which costs more than most of
them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Self, TypeAlias

import aiosqlite

from store.session import Bound, Done, Failed, Outcome, Row, tell
from store.sqlite.connection import connect_reader
from store.sqlite.failures import translated

CONNECTIONS = 2

MAX_STATEMENTS = 16
"""Maximum number of reads that share a hop: all their results are in memory at once."""

Rows: TypeAlias = list[Row]


@dataclass(frozen=True, slots=True)
class _Read:
    sql: str
    parameters: Bound
    caller: asyncio.Future[Rows]


class _Connection(aiosqlite.Connection):
    async def fetch_all(self, reads: Sequence[_Read]) -> list[Outcome[Rows]]:
        # aiosqlite's methods are built on `_execute`; it has none for several statements.
        execute: Callable[..., Awaitable[list[Outcome[Rows]]]] = self._execute
        return await execute(lambda: [self._fetch(read) for read in reads])

    def _fetch(self, read: _Read) -> Outcome[Rows]:
        try:
            return Done(self._conn.execute(read.sql, read.parameters).fetchall())
        except Exception as error:  # noqa: BLE001 - it belongs to this read's caller
            return Failed(error)


class AiosqliteReaders:
    """Implements `store.session.Readers`."""

    def __init__(self, connections: Iterable[_Connection], closing: AsyncExitStack) -> None:
        self._connections = cycle(connections)
        self._closing = closing
        self._waiting: list[_Read] = []
        self._reading: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Open the connections. The caller must close them: each is a thread."""
        async with AsyncExitStack() as stack:
            with translated():
                connections = [
                    _Connection(partial(connect_reader, path), iter_chunk_size=64)
                    for _ in range(CONNECTIONS)
                ]
                for connection in connections:
                    _ = await stack.enter_async_context(connection)
            return cls(connections, stack.pop_all())

    async def fetch(self, sql: str, parameters: Bound) -> Rows:
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._begin)
        read = _Read(sql, parameters, loop.create_future())
        self._waiting.append(read)
        with translated():
            return await read.caller

    async def close(self) -> None:
        await asyncio.gather(*self._reading)
        await self._closing.aclose()

    def _begin(self) -> None:
        waiting, self._waiting = self._waiting, []
        for first in range(0, len(waiting), MAX_STATEMENTS):
            some = waiting[first : first + MAX_STATEMENTS]
            task = asyncio.create_task(self._read(next(self._connections), some))
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)

    async def _read(self, connection: _Connection, reads: Sequence[_Read]) -> None:
        try:
            outcomes = await connection.fetch_all(reads)
        except Exception as closed:  # noqa: BLE001 - every caller must get an outcome
            outcomes = [Failed(closed) for _ in reads]
        for read, outcome in zip(reads, outcomes, strict=True):
            tell(read.caller, outcome)
