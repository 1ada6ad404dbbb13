"""Checkpoints the write-ahead log in its own thread, not within the writer's commits.

By default SQLite checkpoints within the commit that makes the log long: under load every fortieth
batch took ten times as long as the others. Here a thread checkpoints about once a second. The log
restarts when a commit finds it fully checkpointed. If it reaches `WAL_AUTOCHECKPOINT_PAGES` before
that, the commit checkpoints it too; then little is left to do.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from threading import Event, Thread

from store.errors import StoreUnavailable

CHECKPOINT_PAUSE = 1.0
"""Seconds between two checkpoints: a page written by many commits is copied once."""


class Checkpointer:
    """The checkpointing thread."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._has_grown = Event()
        self._ending = Event()
        self._thread = Thread(target=self._run, name="store-checkpoints", daemon=True)
        self._thread.start()

    def notify(self) -> None:
        """Call after a commit, from any thread."""
        if not self._has_grown.is_set():  # nearly always it is: `set` takes a lock
            self._has_grown.set()

    def close(self) -> None:
        """Stop after the current checkpoint."""
        self._ending.set()
        self._has_grown.set()
        self._thread.join()

    def _run(self) -> None:
        while self._has_grown.wait() and not self._ending.wait(CHECKPOINT_PAUSE):
            self._has_grown.clear()
            if self._ending.is_set():
                break  # `clear` may have removed the notification of `close`
            # The writer meets the same failure and reports it; the log is unchanged.
            with suppress(sqlite3.Error, StoreUnavailable), closing(self._connect()) as connection:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
