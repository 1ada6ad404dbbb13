"""Group commit: many units of work, one transaction, one sync of the disk."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from store.changes import CommitNotice
from store.errors import OutcomeUnknown, StoreError, StoreUnavailable
from store.session import Work
from store.sqlite.failures import may_have_committed, to_store_error


@dataclass(slots=True)
class Member:
    """A unit of work in a batch, and what has become of it."""

    work: Work[object]
    value: object = None
    """For its caller, after the commit."""
    error: Exception | None = None
    """Why it failed alone."""


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
    own = CommitNotice()
    connection.execute("SAVEPOINT member")
    try:
        member.value = member.work(connection, own)
    except Exception as error:
        # An error belongs to the member's caller, unless the database itself has failed.
        if to_store_error(error) is not None:
            raise
        member.error = error
        _end_member(connection, "ROLLBACK TO member", "RELEASE member")
        return
    _end_member(connection, "RELEASE member")
    notice.add(own)


def _end_member(connection: sqlite3.Connection, *statements: str) -> None:
    # After some failures, SQLite itself rolls back the whole transaction.
    if not connection.in_transaction:
        raise StoreUnavailable("the transaction was rolled back")
    for statement in statements:
        connection.execute(statement)
