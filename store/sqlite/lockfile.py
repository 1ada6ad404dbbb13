"""The lock file beside the database, which a service holds while it runs."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from store.errors import StoreInUse
from store.sqlite.failures import translated


@contextmanager
def serving_lock(database: Path) -> Iterator[None]:
    """Hold an exclusive lock on `DATABASE.lock`; `database` is a resolved path.

    The kernel releases it when the process ends, in any way. The file stays: removing it would let
    two processes lock two files of the same name. Raises `StoreInUse`, `StoreUnavailable`.
    """
    with translated():
        database.parent.mkdir(parents=True, exist_ok=True)
        # A hard link has another path and another lock file, and SQLite would write two logs for
        # one database: https://sqlite.org/howtocorrupt.html#_multiple_links_to_the_same_file
        if database.is_file() and database.stat().st_nlink > 1:
            raise StoreInUse(f"{database} has a second name (a hard link): remove that name")
        lock = database.with_name(f"{database.name}.lock")
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreInUse(f"another service runs on {database}") from error
        yield
    finally:
        os.close(descriptor)
