"""The lock file beside the database, which a service holds while it runs."""

import fcntl
import os
from pathlib import Path
from typing import Self

from store.errors import StoreInUse
from store.sqlite.failures import translated


class ServingLock:
    """An exclusive lock on `DATABASE.lock`. The kernel releases it when the process ends, in any
    way. The file stays: removing it would let two processes lock two files of the same name."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, database: Path) -> Self:
        """Lock the database at this resolved path. Raises `StoreInUse`, `StoreUnavailable`."""
        with translated():
            database.parent.mkdir(parents=True, exist_ok=True)
            # A hard link has another path and another lock file, and SQLite would write two logs
            # for one database: https://sqlite.org/howtocorrupt.html#_multiple_links_to_the_same_file
            if database.is_file() and database.stat().st_nlink > 1:
                raise StoreInUse(f"{database} has a second name (a hard link)")
            lock = database.with_name(f"{database.name}.lock")
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise StoreInUse(f"another service runs on {database}") from error
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor)

    def release(self) -> None:
        os.close(self._descriptor)
