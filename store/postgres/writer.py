"""One transaction for each unit of work, several at a time; the server groups their commits.

Units of work lock rows in one order: the job, what belongs to it, its user's log. In between, they
may wait for an idempotency key, a provider's id or an expired lease. If two of them deadlock
nevertheless, the server aborts one, which is repeated.
"""

import asyncio
import time
from collections.abc import Awaitable
from typing import Any, TypeVar

import psycopg

from store.changes import CommitNotice
from store.errors import OutcomeUnknown
from store.postgres.connection import STATEMENTS
from store.postgres.pool import Pool, Threads
from store.session import Work
from store.writer import BatchReport, OnBatch, Writer, ignore

T = TypeVar("T")

_BEGIN = STATEMENTS.load("database")["begin"].encode()


class PostgresSession:
    """Implements `store.session.Session`."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Any = None, /) -> psycopg.Cursor:
        return self._connection.execute(sql.encode(), parameters, binary=True)


class PostgresWriter(Writer):
    def __init__(self, pool: Pool, on_batch: OnBatch = ignore) -> None:
        super().__init__()
        self._pool = pool
        self._on_batch = on_batch
        self._loop = asyncio.get_running_loop()
        self._urgent = Threads("store-urgent")
        self._normal = Threads("store-normal")

    @property
    def full(self) -> bool:
        return self._urgent.full

    def urgent(self, work: Work[T]) -> Awaitable[T]:
        return self._urgent.run(lambda: self._run(work))

    def normal(self, work: Work[T]) -> Awaitable[T]:
        return self._normal.run(lambda: self._run(work))

    async def close(self) -> None:
        await self._urgent.close()
        await self._normal.close()

    def _run(self, work: Work[T]) -> T:
        began = time.perf_counter()
        value, notice = self._pool.run(lambda connection: run_transaction(connection, work))
        # Before the value, which the event loop gets in the same way.
        self._loop.call_soon_threadsafe(self._announce, notice, time.perf_counter() - began)
        return value

    def _announce(self, notice: CommitNotice, seconds: float) -> None:
        waiting = self._urgent.waiting + self._normal.waiting
        self._on_batch(BatchReport(1, seconds, waiting))
        self.on_commit(notice)


def run_transaction(connection: psycopg.Connection, work: Work[T]) -> tuple[T, CommitNotice]:
    """Run a unit of work and commit it. When it raises, the connection has to be rolled back, as
    its `with` block does. Raises `OutcomeUnknown`."""
    notice = CommitNotice()
    connection.execute(_BEGIN)
    value = work(PostgresSession(connection), notice)
    try:
        connection.commit()
    except psycopg.Error as error:
        if connection.closed:
            raise OutcomeUnknown("the connection was lost during a commit") from error
        raise
    return value, notice
