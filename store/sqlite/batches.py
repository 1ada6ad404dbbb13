"""Group commit: many writes, one transaction, one sync of the disk."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from store.contract import Changes
from store.sqlite.failures import meaning

T = TypeVar("T")

Work: TypeAlias = Callable[[sqlite3.Connection, Changes], T]
"""One member of a batch: writes within the transaction that is open, notes what it changed in the
`Changes` that it is given, and returns what its caller waits for. It must neither commit nor block.
When it raises, what it wrote is undone."""


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """A member's value; it is on disk."""

    value: T


@dataclass(frozen=True, slots=True)
class Failed:
    """Nothing of this member was written."""

    error: BaseException


Outcome: TypeAlias = Done[T] | Failed


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
            outcomes = [_run_member(connection, work, changes) for work in works]
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


def _run_member(
    connection: sqlite3.Connection, work: Work[object], changes: Changes
) -> Outcome[object]:
    own = Changes()
    connection.execute("SAVEPOINT member")
    try:
        value = work(connection, own)
    except Exception as error:
        if isinstance(error, sqlite3.Error) and meaning(error) is not None:
            raise
        connection.execute("ROLLBACK TO member")
        connection.execute("RELEASE member")
        return Failed(error)
    connection.execute("RELEASE member")
    changes.add(own)
    return Done(value)


def _told(error: Exception) -> Exception:
    """The error as one member's caller gets it; of trouble that all share, each has a copy."""
    trouble = meaning(error) if isinstance(error, sqlite3.Error) else None
    return trouble or error
