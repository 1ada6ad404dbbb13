"""Group commit: many writes, one transaction, one sync of the disk."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeAlias, TypeVar

from store.contract import Changes
from store.relational import session
from store.relational.session import Done, Effects, Failed, Outcome, crowds
from store.sqlite import sql
from store.sqlite.failures import meaning

T = TypeVar("T")

Work: TypeAlias = session.Work[sqlite3.Connection, T]

_EVENTS = sql.STATEMENTS.load("events")


class BatchRunner:
    """Runs batches on a connection of its own. Synchronous, and bound to one thread.

    The connection is made at the first batch, and again after a failure that may have left it in a
    state that nobody knows: whoever has lost the disk for a while finds it again by itself.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._connection: sqlite3.Connection | None = None

    def run(self, works: Sequence[Work[object]]) -> tuple[list[Outcome[object]], Changes]:
        """Run all of them in one transaction and commit it: an outcome for each, in order, and what
        changed on disk.

        A member that raises is rolled back alone. Trouble of the database itself (no room, a lock,
        a failing disk) is everybody's: all are rolled back, and all fail with it.
        """
        changes = Changes()
        try:
            if self._connection is None:
                self._connection = self._connect()
            connection = self._connection
            connection.execute("BEGIN IMMEDIATE")
            outcomes = _run_members(connection, works, changes)
            connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - whatever it is, every member has to be told
            self.close()
            return [Failed(_told(error)) for _ in works], Changes()
        return outcomes, changes

    def close(self) -> None:
        """Roll back whatever is open, and close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):  # the disk may be gone: then so is what was open
                connection.close()


def _run_members(
    connection: sqlite3.Connection, works: Sequence[Work[object]], changes: Changes
) -> list[Outcome[object]]:
    outcomes: dict[int, Outcome[object]] = {}
    for places, crowd in crowds(works):
        outcome = _run_member(connection, crowd, changes)
        if isinstance(outcome, Done):
            outcomes.update(zip(places, outcome.value, strict=True))
        elif len(places) == 1:
            outcomes[places[0]] = outcome
        else:
            for place in places:
                outcomes[place] = _run_member(connection, works[place], changes)
    return [outcomes[place] for place in range(len(works))]


def _run_member(connection: sqlite3.Connection, work: Work[T], changes: Changes) -> Outcome[T]:
    effects = Effects()
    connection.execute("SAVEPOINT member")
    try:
        value = work(connection, effects)
        _append_events(connection, effects)
    except Exception as error:
        # Whatever a member raises is its caller's, unless it is trouble that all share.
        if isinstance(error, sqlite3.Error) and meaning(error) is not None:
            raise
        connection.execute("ROLLBACK TO member")
        connection.execute("RELEASE member")
        return Failed(error)
    connection.execute("RELEASE member")
    changes.add(effects)
    return Done(value)


def _append_events(connection: sqlite3.Connection, effects: Effects) -> None:
    for event in effects.events:
        place = {"user_id": event.user_id, "nonce": event.nonce}
        ((seq,),) = connection.execute(_EVENTS["take-place"], place).fetchall()
        connection.execute(
            _EVENTS["append-event"],
            {
                **place,
                "seq": seq,
                "job_id": event.job_id,
                "job_seq": event.job_seq,
                "at": event.at,
                "data": event.data,
            },
        )


def _told(error: Exception) -> Exception:
    """The error as one member's caller gets it; of trouble that all share, each has a copy."""
    trouble = meaning(error) if isinstance(error, sqlite3.Error) else None
    return trouble or error
