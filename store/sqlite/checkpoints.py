"""Moving the write-ahead log into the database beside the writer, and not within its commits.

SQLite moves it within whichever commit has made it long: under load every fortieth batch took ten
times as long as the others, and whoever was in it waited. Here a thread moves it a few times a
second. It begins anew once a commit finds all of it moved, or else becomes `LONG_LOG` and is moved
by the commit that finds it so, when little of it is left to be moved.
"""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread

PAUSE = 0.2
"""Seconds between two moves: a page that many commits have written is moved once."""


class Checkpointer:
    """The thread that does it."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._has_grown = Event()
        self._ending = Event()
        self._thread = Thread(target=self._run, name="store-checkpoints", daemon=True)
        self._thread.start()

    def ring(self) -> None:
        """Something was committed. To be called from any thread."""
        self._has_grown.set()

    def close(self) -> None:
        """End, after the move that is under way."""
        self._ending.set()
        self._has_grown.set()
        self._thread.join()

    def _run(self) -> None:
        connection: sqlite3.Connection | None = None
        while self._has_grown.wait() and not self._ending.wait(PAUSE):
            self._has_grown.clear()
            try:
                connection = connection or self._connect()
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            except sqlite3.Error:
                # Whatever the disk has, the writer meets it too, and tells. The log stays as it is,
                # and the connection, which nobody knows the state of, is made anew.
                _close(connection)
                connection = None
        _close(connection)


def _close(connection: sqlite3.Connection | None) -> None:
    if connection is not None:
        with suppress(sqlite3.Error):  # the disk may be gone
            connection.close()
