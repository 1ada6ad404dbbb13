"""The pool of read connections, which see the last commit and never write. They also send NOTIFY.

A read is one statement, and so one snapshot. A read that takes too long is cancelled at the server.
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
from store.postgres.failures import translate_errors
from store.session import Bound, Row

POOL_SIZE = 4
"""Maximum number of read connections per process, besides the writer's and the listener's."""

MAX_WAITING_READS = 1_000
"""Reads that may wait for a connection; further ones are refused at once."""

ACQUIRE_TIMEOUT = 1.5
"""Seconds that a read waits for a connection."""

READ_SECONDS = 10.0
"""Seconds that a read may take, including the wait."""

RECONNECT_SECONDS = 2.0
"""How long the pool retries by itself to replace a lost connection. After that, each request for a
connection starts a new attempt, so reads recover as soon as an outage ends, however long it was."""


class PooledReaders:
    """Implements `store.session.Readers`."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    @classmethod
    async def open(cls, address: Address) -> Self:
        """Open the pool. The caller must close it: it has tasks."""
        pool = AsyncConnectionPool(
            address.conninfo,
            kwargs=options(address),
            min_size=1,
            max_size=POOL_SIZE,
            max_waiting=MAX_WAITING_READS,
            timeout=ACQUIRE_TIMEOUT,
            reconnect_timeout=RECONNECT_SECONDS,
            name="receiver-readers",
            open=False,
        )
        await pool.open()
        return cls(pool)

    async def fetch(self, sql: str, parameters: Bound) -> list[Row]:
        try:
            with _preserve_cancellation(), translate_errors():
                async with asyncio.timeout(READ_SECONDS):
                    try:
                        return await self._fetch(sql, parameters)
                    except psycopg.OperationalError as error:
                        if error.sqlstate is not None and not error.sqlstate.startswith("57P"):
                            raise
                        # The connection was lost, and the others may be too. Reads can be repeated.
                        await self._pool.check()
                        return await self._fetch(sql, parameters)
        except TimeoutError as error:
            raise StoreUnavailable("the read took too long") from error

    async def _fetch(self, sql: str, parameters: Bound) -> list[Row]:
        try:
            async with self._pool.connection() as connection:
                cursor = connection.cursor(binary=True)
                await cursor.execute(sql.encode(), parameters)
                return await cursor.fetchall()
        except TooManyRequests as error:
            raise StoreBusy(f"{MAX_WAITING_READS} reads are waiting") from error
        except PoolTimeout as error:
            raise StoreUnavailable("no connection to PostgreSQL is available") from error

    async def close(self) -> None:
        await self._pool.close()


@contextmanager
def _preserve_cancellation() -> Iterator[None]:
    """Preserve a cancellation that arrives inside: the pool uses `asyncio.wait_for`, which before
    Python 3.12 loses a cancellation that coincides with its result."""
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    yield
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError
