"""Readers: a pool of connections that see the last commit and never write.

A read is one statement, and so one snapshot. One that takes too long is cancelled at the server.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from store.errors import StoreBusy, StoreUnavailable
from store.postgres.address import Address
from store.postgres.connection import options
from store.postgres.failures import translated
from store.relational.session import Bound, Row

CONNECTIONS = 4
"""Connections of one process, beside the writer's and the listener's."""

LONGEST_QUEUE = 1_000
"""Reads that may wait for a connection; the next one is refused at once."""

PATIENCE = 1.5
"""Seconds that a read waits for a connection."""

READ_SECONDS = 10.0
"""Seconds that a read may take, the wait included."""

RECONNECT_SECONDS = 2.0
"""How long the pool goes on by itself to replace a lost connection. After that, whoever asks for
one begins a new attempt: so an outage of whatever length ends within a moment of its end."""


class PooledReaders:
    """The readers of a running service; see `store.relational.session.Readers`."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    @classmethod
    async def open(cls, address: Address) -> Self:
        """Open the pool. Whoever has it must close it: it has tasks."""
        pool = AsyncConnectionPool(
            address.conninfo,
            kwargs=options(address),
            min_size=1,
            max_size=CONNECTIONS,
            max_waiting=LONGEST_QUEUE,
            timeout=PATIENCE,
            reconnect_timeout=RECONNECT_SECONDS,
            name="receiver-readers",
            open=False,
        )
        await pool.open()
        return cls(pool)

    async def fetch(self, sql: str, parameters: Bound) -> list[Row]:
        with _cancellation_kept():
            return await self._fetch_in_time(sql, parameters)

    async def _fetch_in_time(self, sql: str, parameters: Bound) -> list[Row]:
        try:
            async with asyncio.timeout(READ_SECONDS):
                with translated():
                    try:
                        return await self._fetch(sql, parameters)
                    except psycopg.OperationalError as error:
                        if error.sqlstate is not None and not error.sqlstate.startswith("57P"):
                            raise
                        # The connection was lost, and so are perhaps the others: a read can be
                        # made again.
                        await self._pool.check()
                        return await self._fetch(sql, parameters)
        except TooManyRequests as error:
            raise StoreBusy(f"{LONGEST_QUEUE} reads are waiting") from error
        except TimeoutError as error:
            raise StoreUnavailable("the read took too long") from error

    async def _fetch(self, sql: str, parameters: Bound) -> list[Row]:
        try:
            async with self._pool.connection() as connection:
                cursor = connection.cursor(binary=True)
                await cursor.execute(sql.encode(), parameters)
                return await cursor.fetchall()
        except PoolTimeout as error:
            raise StoreUnavailable("PostgreSQL gives no connection") from error

    async def close(self) -> None:
        await self._pool.close()


@contextmanager
def _cancellation_kept() -> Iterator[None]:
    """Let a cancellation through that came inside: the pool waits by `asyncio.wait_for`, and before
    Python 3.12 that loses one which comes together with its result."""
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    yield
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError
