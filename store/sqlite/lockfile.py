"""The locks on a database that a service holds while it runs."""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from store.errors import StoreInUse
from store.sqlite.failures import translate_errors


def real_path(path: Path) -> Path:
    """The path without symbolic links. `Path.resolve` raises RuntimeError for a loop of them, which
    opening the file reports better."""
    return Path(os.path.realpath(path))


@contextmanager
def serving_lock(database: Path) -> Iterator[None]:
    """Hold exclusive locks on `DATABASE.lock` and, on Linux, on the database, which is created if
    missing; `database` is a resolved path.

    The kernel releases them when the process ends, in any way. The lock file stays: removing it
    would let two processes lock two files of the same name. Raises `StoreInUse`,
    `StoreUnavailable`.
    """
    with translate_errors():
        database.parent.mkdir(parents=True, exist_ok=True)
        # A hard link has another path and another lock file, and SQLite would write two logs for
        # one database: https://sqlite.org/howtocorrupt.html#_multiple_links_to_the_same_file
        if database.is_file() and database.stat().st_nlink > 1:
            raise StoreInUse(f"{database} has two names (a hard link): remove one")
    # A file that is renamed, or mounted under another name, has another lock file too. Only on
    # Linux does flock not interfere with the POSIX locks that SQLite takes on the file.
    database_lock = _file_lock(database, database) if sys.platform == "linux" else nullcontext()
    lock_file = database.with_name(f"{database.name}.lock")
    with _file_lock(lock_file, database), database_lock:
        yield


@contextmanager
def _file_lock(file: Path, database: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file. For the database this must begin before SQLite opens it and
    end after SQLite has closed it: closing any descriptor of a file releases all POSIX locks that
    the process has on it, SQLite's too."""
    with translate_errors():
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with translate_errors(file):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StoreInUse(f"another service runs on {database}") from error
        yield
    finally:
        os.close(descriptor)
