"""Units of work on PostgreSQL. Those on a job or a user share a transaction when they wait at the
same time; every other one has its own. Several transactions run at a time.

A batch holds its users' logs only for its last writes and its commit, so the statements of the next
batch run beside the commit of this one. If two transactions deadlock nevertheless, the server
aborts one, which is repeated.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar, cast

import psycopg

from store.changes import CommitNotice
from store.errors import OutcomeUnknown, StoreError, StoreLocked
from store.group_commit import GroupCommitWriter, Member
from store.postgres.connection import STATEMENTS
from store.postgres.failures import is_collision, is_lost, to_store_error
from store.postgres.pool import THREADS, Pool, Threads
from store.session import Session
from store.writer import BatchReport, OnBatch, Scope, Work, Writer, ignore

T = TypeVar("T")

_SQL = STATEMENTS.load("database")


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
        self._executor = ThreadPoolExecutor(THREADS, "store-batch")
        self._batches = GroupCommitWriter(self._run_batch, on_batch, runners=THREADS)
        self._batches.on_commit = self._on_batch_commit

    @property
    def full(self) -> bool:
        return self._urgent.full or self._batches.full

    def urgent(self, work: Work[T], scope: Scope = None) -> Awaitable[T]:
        if scope is not None:
            return self._batches.urgent(work, scope)
        return self._urgent.run(lambda: self._run_alone(work))

    def normal(self, work: Work[T], scope: Scope = None) -> Awaitable[T]:
        if scope is not None:
            return self._batches.normal(work, scope)
        return self._normal.run(lambda: self._run_alone(work))

    async def close(self) -> None:
        await self._batches.close()
        await self._urgent.close()
        await self._normal.close()
        self._executor.shutdown()

    def _run_alone(self, work: Work[T]) -> T:
        began = time.perf_counter()
        member = Member(work)
        self._pool.run(lambda connection: run_transaction(connection, [member]))
        # Before the value, which the event loop gets in the same way.
        seconds = time.perf_counter() - began
        self._loop.call_soon_threadsafe(self._announce, member.notice, seconds)
        return cast(T, member.value)

    def _announce(self, notice: CommitNotice, seconds: float) -> None:
        waiting = self._urgent.waiting + self._normal.waiting + self._batches.waiting
        self._on_batch(BatchReport(1, seconds, waiting))
        self.on_commit(notice)

    def _on_batch_commit(self, notice: CommitNotice) -> None:
        self.on_commit(notice)

    async def _run_batch(self, members: Sequence[Member]) -> CommitNotice:
        await self._loop.run_in_executor(self._executor, self._commit, members)
        notice = CommitNotice()
        for member in members:
            notice.add(member.notice)
        return notice

    def _commit(self, members: Sequence[Member]) -> None:
        """Commit them together; if that fails for another reason than the database, each alone.
        Raises `StoreUnavailable` if none was written, except maybe after `OutcomeUnknown`."""
        try:
            self._pool.run(lambda connection: run_transaction(connection, members))
        except Exception as error:
            if len(members) == 1:
                members[0].fail(error)
                return
            if isinstance(error, StoreError) and not isinstance(error, StoreLocked):
                raise
            for member in members:
                self._commit([member])


def run_transaction(connection: psycopg.Connection, members: Sequence[Member]) -> None:
    """Run units of work and commit them. One that fails beside others is rolled back alone.
    When it raises, the connection has to be rolled back, as its `with` block does. Raises
    `OutcomeUnknown`."""
    connection.execute(_SQL["begin"].encode())
    if len(members) == 1:
        _run_one(connection, *members)
    else:
        _run_together(connection, members)
    try:
        connection.commit()
    except psycopg.Error as error:
        if connection.closed:
            raise OutcomeUnknown("the connection was lost during a commit") from error
        raise


def _run_one(connection: psycopg.Connection, member: Member) -> None:
    session = PostgresSession(connection)
    if isinstance(member.scope, int):
        session.execute(_SQL["lock-log"], {"user_id": member.scope})
    member.run(session)


def _run_together(connection: psycopg.Connection, members: Sequence[Member]) -> None:
    """In the order of the locks (`Work`). A new job comes whole with its user's last writes: it may
    fail there, at a limit or a budget."""
    session = PostgresSession(connection)
    last = defaultdict[int, list[Callable[[Session], None]]](list)
    for member in sorted(members, key=lambda member: str(member.scope)):
        if isinstance(member.scope, int):
            last[member.scope].append(partial(_run_new, connection, member))
            continue
        _attempt(connection, member, member.begin)
        for user_id, write in member.notice.last:
            last[user_id].append(write)
    for user_id, writes in sorted(last.items()):
        session.execute(_SQL["lock-log"], {"user_id": user_id})
        for write in writes:
            write(session)


def _run_new(connection: psycopg.Connection, member: Member, _: Session) -> None:
    _attempt(connection, member, member.run)


def _attempt(
    connection: psycopg.Connection, member: Member, run: Callable[[Session], None]
) -> None:
    session = PostgresSession(connection)
    # Not released: the commit does it. Of one name, the newest counts.
    session.execute("SAVEPOINT member")
    try:
        run(session)
    except Exception as error:
        if connection.closed or is_lost(error) or is_collision(error):
            raise
        session.execute("ROLLBACK TO member")
        member.fail(to_store_error(error) or error)
