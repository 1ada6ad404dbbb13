"""From an address to a store."""

import os
from pathlib import Path

from store.contract import Store
from store.errors import AddressInvalid
from store.ids import Entropy
from store.relational.writer import OnBatch, ignore
from store.sqlite.database import open_sqlite

_SQLITE = "sqlite:///"
_POSTGRES = "postgresql://"


async def open_store(
    url: str,
    *,
    entropy: Entropy = os.urandom,
    serving: bool = False,
    on_batch: OnBatch = ignore,
) -> Store:
    """Open the store at an address: `sqlite:///relative/path`, `sqlite:////absolute/path`, or
    `postgresql://user:password@host:port/database` (store/postgres/address.py).

    A SQLite file, and the folder that it is in, are made where they are not there. `serving` is for
    the one process that runs the jobs on it; others may open the same store beside it without.
    PostgreSQL may be served by several. `on_batch` hears of each group of writes that was
    committed. Close the store in the end: it has threads.

    Raises `StoreInUse` where another process serves, `StoreUnavailable`, `StoreCorrupt`,
    `SchemaTooNew` and `ServerUnfit`; `AddressInvalid` where the address is none that can be used.
    """
    if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
        return await open_sqlite(
            Path(url.removeprefix(_SQLITE)), entropy=entropy, serving=serving, on_batch=on_batch
        )
    if url.startswith(_POSTGRES):
        try:
            # An optional extra, and slow to import: only whoever asks for it pays.
            from store.postgres.database import open_postgres
        except ImportError as error:
            raise AddressInvalid(
                "PostgreSQL needs psycopg: pip install 'receiver[postgres]'"
            ) from error
        return await open_postgres(url, entropy=entropy, on_batch=on_batch)
    raise AddressInvalid("a store's address begins with sqlite:/// or postgresql://")
