"""Makes an online, consistent copy of the database.

`VACUUM INTO` reads one snapshot; the page-wise backup API starts over at every write
(https://sqlite.org/lang_vacuum.html#vacuuminto).
"""

import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path
from tempfile import mkstemp

from store.errors import StoreCorrupt
from store.files import fsync
from store.sqlite.connection import (
    STATEMENTS,
    check,
    check_not_moved,
    check_wal,
    connect_reader,
    uri,
)
from store.sqlite.failures import translate_errors

SYNC_SECONDS = 0.05
"""How often the copy so far is synced."""
CHECK_STEPS = 10_000
"""How many of SQLite's steps, about a millisecond, until it is asked again whether to stop."""


def back_up(source: Path, target: Path, is_stopped: Callable[[], bool] = lambda: False) -> None:
    """Write a copy of `source`, marked as one, mode 0600, and verify it. Blocks; `is_stopped` is
    asked all the time, in another thread, and makes it fail.

    The copy is written to `TARGET.….partial`, and renamed once it is complete, verified and on
    disk. A process that is killed leaves that file and, if killed just before the renaming, an
    empty `target`. Raises `FileExistsError`, `StoreUnavailable`, `StoreCorrupt`, `StoreMoved`,
    `SchemaTooNew`, `SchemaUnsupported`.
    """
    if os.path.lexists(target):
        raise FileExistsError(target)
    with translate_errors():
        descriptor, name = mkstemp(".partial", f"{target.name}.", target.parent)
        os.close(descriptor)
    partial = Path(name)
    try:
        with translate_errors():
            with ThreadPoolExecutor(1) as executor:
                copying = executor.submit(_copy, source, partial, is_stopped)
                # One sync at the end would delay the syncs of a service on the same disk.
                while wait([copying], SYNC_SECONDS).not_done:
                    fsync(partial)
            copying.result()
            fsync(partial)
        target.touch(0o600, exist_ok=False)  # not every file system has hard links
        with translate_errors():
            partial.replace(target)
            fsync(target.parent)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _copy(source: Path, partial: Path, is_stopped: Callable[[], bool]) -> None:
    check_wal(source)
    with closing(connect_reader(source)) as connection:
        check(connection)
        check_not_moved(connection, source)
        # query_only would forbid VACUUM INTO, although it writes only to the copy.
        connection.execute("PRAGMA query_only = OFF")
        connection.set_progress_handler(is_stopped, CHECK_STEPS)
        connection.execute("VACUUM INTO ?", (str(partial),))
    with closing(sqlite3.connect(uri(partial), uri=True, isolation_level=None)) as copy:
        copy.set_progress_handler(is_stopped, CHECK_STEPS)
        copy.execute(STATEMENTS.load("database")["mark-copy"])
        faults = [
            *copy.execute("PRAGMA integrity_check(1)"),
            *copy.execute("PRAGMA foreign_key_check"),
        ]
        if faults != [("ok",)]:
            raise StoreCorrupt(f"the copy is damaged: {faults[0]}")
