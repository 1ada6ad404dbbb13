"""Group commit: many writes, one transaction, one sync of the disk."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeAlias, TypeVar

from store.contract import Changes
from store.errors import StoreUnavailable
from store.relational import session
from store.relational.session import Done, Effects, Failed, NewEvent, Outcome, crowds
from store.relational.statements import ManyRows
from store.sqlite import sql
from store.sqlite.failures import meaning

T = TypeVar("T")

Work: TypeAlias = session.Work[sqlite3.Connection, T]

_EVENTS = sql.STATEMENTS.load("events")
_EVENT_ROWS = ManyRows(_EVENTS["append-event"])


def _ignore() -> None:
    """Called where nobody asks."""


class BatchRunner:
    """Runs batches on a connection of its own. Synchronous, and bound to one thread.

    The connection is made at the first batch, and again after a failure that may have left it in a
    state that nobody knows: whoever has lost the disk for a while finds it again by itself.
    """

    def __init__(
        self, connect: Callable[[], sqlite3.Connection], on_commit: Callable[[], None] = _ignore
    ) -> None:
        self._connect = connect
        self._on_commit = on_commit
        self._connection: sqlite3.Connection | None = None

    def run(self, works: Sequence[Work[object]]) -> tuple[list[Outcome[object]], Changes]:
        """Run all of them in one transaction and commit it: an outcome for each, in order, and what
        changed on disk.

        A member that raises is rolled back alone. Trouble of the database itself (no room, a lock,
        a failing disk) is everybody's: all are rolled back, and all fail with it.
        """
        try:
            if self._connection is None:
                self._connection = self._connect()
            transaction = _Transaction(self._connection)
            outcomes = transaction.run(works)
            transaction.commit()
        except Exception as error:  # noqa: BLE001 - whatever it is, every member has to be told
            self.close()
            return [Failed(_told(error)) for _ in works], Changes()
        self._on_commit()
        return outcomes, transaction.changes

    def close(self) -> None:
        """Roll back whatever is open, and close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):  # the disk may be gone: then so is what was open
                connection.close()


class _Transaction:
    """One batch, on its way to disk."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.changes = Changes()
        self._connection = connection
        self._events: list[NewEvent] = []
        self._begin()

    def run(self, works: Sequence[Work[object]]) -> list[Outcome[object]]:
        """Run all: an outcome for each, in order. A crowd that fails is run again in halves."""
        outcomes: dict[int, Outcome[object]] = {}
        for places, crowd in crowds(works):
            outcome = self._run_member(crowd)
            if isinstance(outcome, Done):
                outcomes.update(zip(places, outcome.value, strict=True))
            elif len(places) == 1:
                outcomes[places[0]] = outcome
            else:
                half = len(places) // 2
                for some in (places[:half], places[half:]):
                    theirs = self.run([works[place] for place in some])
                    outcomes.update(zip(some, theirs, strict=True))
        return [outcomes[place] for place in range(len(works))]

    def commit(self) -> None:
        """Append the events, and sync."""
        # Without a transaction, `commit` does nothing and says nothing.
        if not self._connection.in_transaction:
            raise StoreUnavailable("the transaction was rolled back")
        _append(self._connection, self._events)
        self._connection.commit()

    def _begin(self) -> None:
        # Not `execute`, which would give the interpreter up six times and not once.
        self._connection.executescript("BEGIN IMMEDIATE")
        self._is_fresh = True

    def _run_member(self, work: Work[T]) -> Outcome[T]:
        effects = Effects()
        # The savepoint of the first is where the transaction begins. In a rush there is no second,
        # and at each statement the event loop may take the interpreter.
        alone, self._is_fresh = self._is_fresh, False
        if not alone:
            self._connection.execute("SAVEPOINT member")
        try:
            value = work(self._connection, effects)
        except Exception as error:
            # Whatever a member raises is its caller's, unless it is trouble that all share.
            if isinstance(error, sqlite3.Error) and meaning(error) is not None:
                raise
            if alone:
                self._connection.execute("ROLLBACK")
                self._begin()
            else:
                self._connection.execute("ROLLBACK TO member")
                self._connection.execute("RELEASE member")
            return Failed(error)
        if not alone:
            self._connection.execute("RELEASE member")
        self.changes.add(effects)
        self._events += effects.events
        return Done(value)


def _append(connection: sqlite3.Connection, events: Sequence[NewEvent]) -> None:
    """Append the events of a batch, each at the next place of its user's log."""
    by_user: dict[int, list[NewEvent]] = {}
    for event in events:
        by_user.setdefault(event.user_id, []).append(event)
    rows = []
    for user_id, theirs in by_user.items():
        taken = {"user_id": user_id, "count": len(theirs), "nonce": theirs[-1].nonce}
        ((last,),) = connection.execute(_EVENTS["take-places"], taken).fetchall()
        first = last - len(theirs) + 1
        rows += [
            {
                "user_id": user_id,
                "seq": seq,
                "nonce": event.nonce,
                "job_id": event.job_id,
                "job_seq": event.job_seq,
                "at": event.at,
                "data": event.data,
            }
            for seq, event in enumerate(theirs, first)
        ]
    _EVENT_ROWS.run(connection, rows)


def _told(error: Exception) -> Exception:
    """The error as one member's caller gets it; of trouble that all share, each has a copy."""
    trouble = meaning(error) if isinstance(error, sqlite3.Error) else None
    return trouble or error
