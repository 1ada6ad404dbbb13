"""From an address to a store."""

import os
from pathlib import Path

from store.contract import Store
from store.ids import Entropy
from store.sqlite.database import open_sqlite
from store.sqlite.writer import OnBatch, ignore

_SQLITE = "sqlite:///"


async def open_store(
    url: str,
    *,
    entropy: Entropy = os.urandom,
    serving: bool = False,
    on_batch: OnBatch = ignore,
) -> Store:
    """Open the store at an address: `sqlite:///relative/path` or `sqlite:////absolute/path`.

    A SQLite file, and the folder that it is in, are made where they are not there. `serving` is for
    the one process that runs the jobs; others may open the same store beside it without. `on_batch`
    hears of each group of writes that was committed. Close the store in the end: it has threads.

    Raises `StoreInUse` where another process serves, `StoreUnavailable`, `StoreCorrupt` and
    `SchemaTooNew`; ValueError where the address is none that is known.
    """
    if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
        return await open_sqlite(
            Path(url.removeprefix(_SQLITE)), entropy=entropy, serving=serving, on_batch=on_batch
        )
    raise ValueError("a store's address begins with sqlite:///")
