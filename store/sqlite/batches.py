"""Batches of units of work on a SQLite connection, in a thread of their own."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from store.changes import CommitNotice
from store.errors import OutcomeUnknown, StoreError, StoreUnavailable
from store.group_commit import Member
from store.sqlite.failures import may_have_committed, to_store_error


class BatchRunner:
    """Runs batches on a connection of its own. Synchronous.

    The connection is opened at the first batch, and again after every batch that failed as a whole,
    so that the store recovers by itself when the disk comes back.
    """

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """`check` is called before each batch, which fails with what it raises."""
        self._connect = connect
        self._check = check
        self._connection: sqlite3.Connection | None = None

    def run(self, members: Sequence[Member]) -> CommitNotice:
        """Run all of them in one transaction and commit it. A member that raises is rolled back
        alone.

        Raises when the database itself fails (disk full, a lock, a failing disk): then none of them
        was written, except maybe after `OutcomeUnknown`.
        """
        try:
            self._check()
            if self._connection is None:
                self._connection = self._connect()
            return _run(self._connection, members)
        except StoreError:
            self.close()
            raise
        except Exception as error:
            # Whatever it is, it is no member's own: each may be repeated.
            self.close()
            failure = to_store_error(error) or StoreUnavailable(f"the database failed: {error}")
            raise failure from error

    def close(self) -> None:
        """Roll back an open transaction, and close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):  # the disk may be gone, and the transaction with it
                connection.close()


class WriterThread:
    """The thread that runs the batches."""

    def __init__(self, runner: BatchRunner) -> None:
        self._runner = runner
        self._executor = ThreadPoolExecutor(1, "store-writer")

    def run(self, members: Sequence[Member]) -> Awaitable[CommitNotice]:
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._executor, self._runner.run, members)

    async def close(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._executor, self._runner.close)
        self._executor.shutdown()


def _run(connection: sqlite3.Connection, members: Sequence[Member]) -> CommitNotice:
    notice = CommitNotice()
    connection.execute("BEGIN IMMEDIATE")
    for member in members:
        _run_member(connection, notice, member)
    try:
        connection.commit()
    except sqlite3.Error as error:
        if may_have_committed(error):
            raise OutcomeUnknown(
                f"the disk failed during a commit ({error.sqlite_errorname})"
            ) from error
        raise
    return notice


def _run_member(connection: sqlite3.Connection, notice: CommitNotice, member: Member) -> None:
    connection.execute("SAVEPOINT member")
    try:
        member.run(connection)
    except Exception as error:
        # An error belongs to the member's caller, unless the database itself has failed.
        if to_store_error(error) is not None:
            raise
        member.fail(error)
        _end_member(connection, "ROLLBACK TO member", "RELEASE member")
        return
    _end_member(connection, "RELEASE member")
    notice.add(member.notice)


def _end_member(connection: sqlite3.Connection, *statements: str) -> None:
    # After some failures, SQLite itself rolls back the whole transaction.
    if not connection.in_transaction:
        raise StoreUnavailable("the transaction was rolled back")
    for statement in statements:
        connection.execute(statement)
