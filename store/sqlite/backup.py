"""An online, consistent copy of the database.

`VACUUM INTO` reads one snapshot and is done; the page-wise backup API starts over whenever somebody
writes (https://sqlite.org/lang_vacuum.html#vacuuminto).
"""

import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event

from store.errors import StoreCorrupt, StoreFull
from store.sqlite import sql
from store.sqlite.connection import connect_reader, uri
from store.sqlite.failures import translated

SYNC_SECONDS = 0.05
"""How often what was copied so far is written out."""

_SQL = sql.STATEMENTS.load("database")


def back_up(source: Path, target: Path) -> None:
    """Write a copy of `source`, marked as one, mode 0600, and verify it. Blocks.

    The name is claimed first and never taken from another file; the copy takes its place when it is
    whole, verified and on disk. Raises `FileExistsError`, `StoreUnavailable`, `StoreCorrupt`.
    """
    try:
        _create(target)
    except FileExistsError:
        raise
    except OSError as error:
        raise StoreFull(f"{error.strerror}: {error.filename}") from error
    partial = target.with_name(f"{target.name}.partial")
    try:
        with translated():
            partial.unlink(missing_ok=True)
            _create(partial)
            with _written_as_it_grows(partial):
                _copy(source, partial)
            _sync(partial)
            partial.replace(target)
            _sync(target.parent)
    except BaseException:
        partial.unlink(missing_ok=True)
        target.unlink(missing_ok=True)
        raise


def _copy(source: Path, partial: Path) -> None:
    with closing(connect_reader(source)) as connection:
        # The reader's own rule would forbid it, although only the copy is written to.
        connection.execute("PRAGMA query_only = OFF")
        connection.execute("VACUUM INTO ?", (str(partial),))
    with closing(sqlite3.connect(uri(partial), uri=True, isolation_level=None)) as copy:
        copy.execute(_SQL["mark-copy"])
        faults = [
            *copy.execute("PRAGMA integrity_check(1)"),
            *copy.execute("PRAGMA foreign_key_check"),
        ]
        if faults != [("ok",)]:
            raise StoreCorrupt(f"the copy is damaged: {faults[0]}")


def _create(file: Path) -> None:
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


@contextmanager
def _written_as_it_grows(file: Path) -> Iterator[None]:
    """Have what is written to a file go to the disk bit by bit: all of it at once, in the end,
    would hold up the syncs of the service that runs beside."""
    over = Event()

    def write_out() -> None:
        while not over.wait(SYNC_SECONDS):
            _sync(file)

    with ThreadPoolExecutor(1) as beside:
        writing = beside.submit(write_out)
        try:
            yield
        finally:
            over.set()
            writing.result()


def _sync(path: Path) -> None:
    """Have a file's content, or a folder's names, on disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
