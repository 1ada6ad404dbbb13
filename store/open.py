"""Opens the store at an address, and backs it up."""

import asyncio
import os
from pathlib import Path
from threading import Event

from store.database import Store
from store.errors import AddressInvalid, BackupElsewhere
from store.ids import Entropy
from store.sqlite.backup import back_up
from store.sqlite.database import open_sqlite
from store.writer import OnBatch, ignore

_SQLITE = "sqlite:///"
_POSTGRES = "postgresql://"


async def open_store(
    url: str,
    *,
    entropy: Entropy = os.urandom,
    serving: bool = False,
    on_batch: OnBatch = ignore,
    commit_delay: float = 0.0,
) -> Store:
    """Open the store at an address: `sqlite:///relative/path`, `sqlite:////absolute/path`, or
    `postgresql://user:password@host:port/database` (store/postgres/address.py).

    A SQLite file and its folder are created if missing. `serving` is for the one process that runs
    the jobs of a SQLite store; others may open the same store without it at the same time.
    PostgreSQL may be served by several processes. `on_batch` is called after each batch of writes,
    committed or not. `commit_delay`, in seconds, is how long a write to SQLite waits for others
    that share its sync. Close the store when done: it has threads.

    Raises `StoreInUse` if another process serves it, `StoreMoved` if `receiver copy` has moved it
    to another database, `StoreUnavailable`, `StoreCorrupt`, `SchemaTooNew`,
    `SchemaUnsupported`, `SchemaTooOld` without `serving` (SQLite), `UnsupportedServer`, and
    `AddressInvalid` if the address is not usable.
    """
    if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
        return await open_sqlite(
            Path(url.removeprefix(_SQLITE)),
            entropy=entropy,
            serving=serving,
            on_batch=on_batch,
            commit_delay=commit_delay,
        )
    if url.startswith(_POSTGRES):
        try:
            # An optional extra, and slow to import.
            from store.postgres.database import open_postgres
        except ImportError as error:
            raise AddressInvalid(
                "PostgreSQL needs psycopg: run pip install '.[postgres]' in the source folder"
            ) from error
        return await open_postgres(url, entropy=entropy, on_batch=on_batch)
    raise AddressInvalid("a store's address must begin with sqlite:/// or postgresql://")


async def back_up_store(url: str, target: Path) -> None:
    """Write an online, consistent copy of the store at an address, even if its schema is older.

    Raises `FileExistsError` if the target exists, `BackupElsewhere` for every address that is not
    SQLite's, and as `open_store` does.
    """
    if not url.startswith(_SQLITE):
        raise BackupElsewhere(
            "PostgreSQL is backed up with its own tools, for example"
            f" `pg_dump --format=custom --file={target.name} …`"
        )
    stop = Event()
    try:
        await asyncio.to_thread(back_up, Path(url.removeprefix(_SQLITE)), target, stop.is_set)
    finally:
        stop.set()  # if this is cancelled, the thread goes on
