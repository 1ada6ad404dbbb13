"""Group commit: many units of work, one transaction, one sync of the disk."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from store.changes import CommitNotice
from store.errors import OutcomeUnknown, StoreUnavailable
from store.session import Work
from store.sqlite.failures import may_have_committed, to_store_error


@dataclass(frozen=True, slots=True)
class Done:
    """A member's value. Its caller gets it after the commit."""

    value: object


@dataclass(frozen=True, slots=True)
class Failed:
    """A member's error. Nothing of the member was written, except maybe after `OutcomeUnknown`."""

    error: BaseException


Outcome: TypeAlias = Done | Failed


class Batch(NamedTuple):
    """The result of one batch."""

    outcomes: list[Outcome]
    """One for each member, in order."""
    notice: CommitNotice
    """What was committed; empty if the batch failed."""
    failure: Exception | None = None
    """Why the whole batch failed."""


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

    def run(self, works: Sequence[Work[object]]) -> Batch:
        """Run all of them in one transaction and commit it.

        A member that raises is rolled back alone. When the database itself fails (disk full, a
        lock, a failing disk), all members are rolled back and fail with that error.
        """
        try:
            self._check()
            if self._connection is None:
                self._connection = self._connect()
            return _run(self._connection, works)
        except Exception as error:  # noqa: BLE001 - every member's caller must get an outcome
            self.close()
            failure = to_store_error(error) or error
            # Each caller raises a copy of its own, in a task of its own.
            outcomes: list[Outcome] = [Failed(copy(failure)) for _ in works]
            return Batch(outcomes, CommitNotice(), failure)

    def close(self) -> None:
        """Roll back an open transaction, and close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):  # the disk may be gone, and the transaction with it
                connection.close()


def _run(connection: sqlite3.Connection, works: Sequence[Work[object]]) -> Batch:
    notice = CommitNotice()
    connection.execute("BEGIN IMMEDIATE")
    outcomes = [_run_member(connection, notice, work) for work in works]
    try:
        connection.commit()
    except sqlite3.Error as error:
        if may_have_committed(error):
            raise OutcomeUnknown(
                f"the disk failed during a commit ({error.sqlite_errorname})"
            ) from error
        raise
    return Batch(outcomes, notice)


def _run_member(
    connection: sqlite3.Connection, notice: CommitNotice, work: Work[object]
) -> Outcome:
    own = CommitNotice()
    connection.execute("SAVEPOINT member")
    try:
        value = work(connection, own)
    except Exception as error:
        # An error belongs to the member's caller, unless the database itself has failed.
        if to_store_error(error) is not None:
            raise
        _end_member(connection, "ROLLBACK TO member", "RELEASE member")
        return Failed(error)
    _end_member(connection, "RELEASE member")
    notice.add(own)
    return Done(value)


def _end_member(connection: sqlite3.Connection, *statements: str) -> None:
    # After some failures, SQLite itself rolls back the whole transaction.
    if not connection.in_transaction:
        raise StoreUnavailable("the transaction was rolled back")
    for statement in statements:
        connection.execute(statement)
