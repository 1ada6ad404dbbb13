"""Group commit: many writes, one transaction, one fsync."""

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import copy
from typing import TypeVar

from store.changes import Changes, Effects, NewEvent
from store.errors import OutcomeUnknown, StoreLocked, StoreUnavailable
from store.records.events import Cursor, Event
from store.session import Done, Failed, Outcome, Work, groups
from store.sql import run_rows
from store.sqlite.connection import STATEMENTS
from store.sqlite.failures import may_have_committed, to_store_error
from store.writer import Batch

T = TypeVar("T")

_EVENTS = STATEMENTS.load("events")


class BatchRunner:
    """Runs batches on a connection of its own. Synchronous, and bound to one thread.

    The connection is opened at the first batch, and again after every batch that failed as a whole,
    so that the store recovers by itself when the disk comes back.
    """

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        on_commit: Callable[[], None] = lambda: None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """`check` is called before each batch, which fails with what it raises."""
        self._connect = connect
        self._on_commit = on_commit
        self._check = check
        self._connection: sqlite3.Connection | None = None

    def run(self, urgent: Sequence[Work[object]], background: Sequence[Work[object]] = ()) -> Batch:
        """Run all of them in one transaction, the urgent ones first, and commit it.

        A member that raises is rolled back alone. When the database itself fails (disk full, a
        lock, a failing disk), all members are rolled back and fail with that error.
        """
        try:
            self._check()
            if self._connection is None:
                self._connection = self._connect()
            transaction = _Transaction(self._connection)
            began = time.perf_counter()
            outcomes = transaction.run(urgent)
            turned = time.perf_counter()
            outcomes += transaction.run(background)
            seconds = turned - began, time.perf_counter() - turned
            transaction.commit()
        except Exception as error:  # noqa: BLE001 - every member's caller must get an outcome
            self.close()
            failure = to_store_error(error) or error
            # `outcomes` gets copies: each caller raises its own, in a task of its own.
            blocked = failure if isinstance(failure, StoreLocked) else None
            outcomes = [Failed(copy(failure)) for _ in (*urgent, *background)]
            return Batch(outcomes, Changes(), blocked=blocked)
        self._on_commit()
        return Batch(outcomes, transaction.changes, seconds)

    def close(self) -> None:
        """Roll back an open transaction, and close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):  # the disk may be gone, and the transaction with it
                connection.close()


class _Transaction:
    """The transaction of one batch."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.changes = Changes()
        self._connection = connection
        self._events: list[NewEvent] = []
        self._begin()

    def run(self, works: Sequence[Work[object]]) -> list[Outcome[object]]:
        """Run all; returns their outcomes, in order. A group that fails is retried in halves."""
        outcomes: dict[int, Outcome[object]] = {}
        for indexes, group in groups(works):
            outcome = self._run_member(group)
            if isinstance(outcome, Done):
                outcomes.update(zip(indexes, outcome.value, strict=True))
            elif len(indexes) == 1:
                outcomes[indexes[0]] = outcome
            else:
                half = len(indexes) // 2
                for some in (indexes[:half], indexes[half:]):
                    theirs = self.run([works[index] for index in some])
                    outcomes.update(zip(some, theirs, strict=True))
        return [outcomes[index] for index in range(len(works))]

    def commit(self) -> None:
        """Append the events and commit. Raises `OutcomeUnknown` if it may have been committed."""
        # Without a transaction, `commit` silently does nothing.
        if not self._connection.in_transaction:
            raise StoreUnavailable("the transaction was rolled back")
        self.changes.appended = _append(self._connection, self._events)
        try:
            self._connection.commit()
        except sqlite3.Error as error:
            if may_have_committed(error):
                raise OutcomeUnknown(
                    f"the disk failed during a commit ({error.sqlite_errorname})"
                ) from error
            raise

    def _begin(self) -> None:
        # `execute` would release the GIL six times instead of once.
        self._connection.executescript("BEGIN IMMEDIATE")
        self._is_fresh = True

    def _run_member(self, work: Work[T]) -> Outcome[T]:
        effects = Effects()
        # The first member needs no savepoint: rolling back the transaction does the same. Under
        # load it is often the only one, and each statement saved is a release of the GIL saved.
        is_first, self._is_fresh = self._is_fresh, False
        if not is_first:
            self._connection.execute("SAVEPOINT member")
        try:
            value = work(self._connection, effects)
        except Exception as error:
            # An error belongs to the member's caller, unless the database itself has failed.
            if to_store_error(error) is not None:
                raise
            if is_first:
                self._connection.execute("ROLLBACK")
                self._begin()
            else:
                self._connection.execute("ROLLBACK TO member")
                self._connection.execute("RELEASE member")
            return Failed(error)
        if not is_first:
            self._connection.execute("RELEASE member")
        self.changes.add(effects)
        self._events += effects.events
        return Done(value)


def _append(connection: sqlite3.Connection, events: Sequence[NewEvent]) -> dict[int, list[Event]]:
    """Append the events of a batch to their users' logs; returns them with their cursors."""
    by_user: dict[int, list[NewEvent]] = {}
    for event in events:
        by_user.setdefault(event.user_id, []).append(event)
    rows = []
    appended: dict[int, list[Event]] = {}
    for user_id, theirs in by_user.items():
        taken = {"user_id": user_id, "count": len(theirs), "nonce": theirs[-1].nonce}
        ((last,),) = connection.execute(_EVENTS["take-positions"], taken).fetchall()
        for seq, event in enumerate(theirs, last - len(theirs) + 1):
            rows.append({"seq": seq, **event._asdict()})
            placed = Event(Cursor(seq, event.nonce), event.job_id, event.at, event.data)
            appended.setdefault(user_id, []).append(placed)
    run_rows(connection, _EVENTS["append-event"], rows)
    return appended
