"""A store in a PostgreSQL database, which several processes may share."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import psycopg

from store.contract import Changes, Durability
from store.errors import BackupElsewhere
from store.ids import Entropy, Ids
from store.postgres.address import Address, parse
from store.postgres.batches import PostgresBatchRunner
from store.postgres.connection import connect, options, prepare
from store.postgres.doorbell import CHANNEL, Doorbell
from store.postgres.elsewhere import Elsewhere, Snapshot
from store.postgres.readers import PooledReaders
from store.postgres.sql import STATEMENTS
from store.relational.backend import Backend, Randomness
from store.relational.database import SqlStore
from store.relational.writer import OnBatch, ThreadedWriter, ignore


class PostgresStore(SqlStore):
    """`store.contract.Store` on PostgreSQL."""

    def __init__(self, backend: Backend, elsewhere: Elsewhere, address: Address, node: str) -> None:
        super().__init__(backend)
        self.exclusive = False
        self._elsewhere = elsewhere
        self._ring: Callable[[Changes], None] = ignore
        listen = None if address.listen is None else partial(_listener, address, address.listen)
        self._doorbell = Doorbell(node, listen, self._notify, self._heard)
        backend.writer.on_change = self._committed

    @property
    def on_change(self) -> Callable[[Changes], None]:
        return self._ring

    @on_change.setter
    def on_change(self, ring: Callable[[Changes], None]) -> None:
        self._ring = ring

    def begin(self) -> None:
        """Listen for the others, and ring for them."""
        self._doorbell.open()

    async def changed_elsewhere(self) -> bool:
        ((text,),) = await self._readers.fetch(self._sql["snapshot"], {})
        changed = self._elsewhere.changed(Snapshot.parse(text))
        return self._doorbell.was_deaf() or changed

    async def durability(self) -> Durability:
        (values,) = await self._readers.fetch(self._sql["durability"], {})
        fsync, full_page_writes, version = values
        return Durability(
            # The third of them, synchronous_commit, is set by each transaction of ours (`begin`).
            sound=(fsync, full_page_writes) == ("on", "on"),
            detail=f"fsync {fsync}, full_page_writes {full_page_writes}, schema {version}",
            advice="Turn fsync and full_page_writes on, in postgresql.conf.",
        )

    async def backup(self, target: Path) -> None:
        """Raises `BackupElsewhere`: PostgreSQL's own tools do it better."""
        raise BackupElsewhere(
            "PostgreSQL is backed up by its own tools, as in"
            f" `pg_dump --format=custom --file={target.name} …`"
        )

    async def upkeep(self) -> Mapping[str, int]:
        ((size,),) = await self._readers.fetch(self._sql["size"], {})
        return {"database": size}

    async def close(self) -> None:
        await self._doorbell.close()
        await super().close()

    def _heard(self, changes: Changes) -> None:
        self._ring(changes)

    def _committed(self, changes: Changes) -> None:
        self._ring(changes)
        self._doorbell.announce(changes)

    async def _notify(self, payload: str) -> None:
        parameters = {"channel": CHANNEL, "payload": payload}
        ((_, transaction),) = await self._readers.fetch(self._sql["ring"], parameters)
        self._elsewhere.own(int(transaction))


async def open_postgres(url: str, *, entropy: Entropy, on_batch: OnBatch = ignore) -> PostgresStore:
    """Open the store at an address (address.py), whose schema is made where it is not there.

    Raises as `store.open.open_store` does.
    """
    address = parse(url)
    await asyncio.to_thread(prepare, address)
    readers = await PooledReaders.open(address)
    elsewhere = Elsewhere()
    runner = PostgresBatchRunner(partial(connect, address), elsewhere.own)
    backend = Backend(
        ThreadedWriter(runner, on_batch),
        readers,
        STATEMENTS,
        Randomness(entropy, Ids(entropy)),
    )
    store = PostgresStore(backend, elsewhere, address, node=entropy(8).hex())
    store.begin()
    return store


async def _listener(address: Address, conninfo: str) -> psycopg.AsyncConnection:
    return await psycopg.AsyncConnection.connect(conninfo, **options(address))
