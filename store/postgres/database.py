"""The PostgreSQL store, which several processes may share."""

import asyncio
from collections.abc import Mapping

from store.changes import CommitNotice
from store.database import Durability, Store
from store.ids import Entropy, Ids
from store.postgres.address import Address, parse
from store.postgres.connection import STATEMENTS, prepare
from store.postgres.notifications import CHANNEL, Notifications
from store.postgres.pool import Pool
from store.postgres.read_pool import PostgresReadPool
from store.postgres.writer import PostgresWriter
from store.repository import Backend
from store.writer import OnBatch, ignore


class PostgresStore(Store):
    """The store in a PostgreSQL database. Processes notify each other of their commits."""

    exclusive = False

    def __init__(self, backend: Backend, pool: Pool, address: Address, node: str) -> None:
        super().__init__(backend)
        self._pool = pool
        self._fails_over = address.has_several_hosts
        self._notifications = Notifications(node, address, self._notify, super()._committed)
        self._seen: str | None = None

    async def changed_elsewhere(self) -> bool:
        ((snapshot,),) = await self._fetch("snapshot")
        before, self._seen = self._seen, snapshot
        return before != self._seen  # True at first: others may have written since the opening

    async def durability(self) -> Durability:
        ((fsync, full_page_writes, standbys, version),) = await self._fetch("durability")
        # synchronous_commit matters too, but need not be checked: each transaction turns it on if
        # it is weaker (the query `begin`).
        crash_safe = (fsync, full_page_writes) == ("on", "on")
        advice = None
        if not crash_safe:
            advice = "Turn on fsync and full_page_writes in postgresql.conf."
        elif self._fails_over and not standbys:
            advice = (
                "Set synchronous_standby_names in postgresql.conf if another host is a standby: one"
                " that lags when it takes over has jobs paid for twice."
            )
        detail = f"fsync {fsync}, full_page_writes {full_page_writes}, schema {version}"
        return Durability(crash_safe, detail, advice)

    async def sizes(self) -> Mapping[str, int]:
        ((size,),) = await self._fetch("size")
        return {"database": size}

    async def close(self) -> None:
        await self._notifications.close()
        try:
            await super().close()
        finally:
            await asyncio.to_thread(self._pool.close)

    def _committed(self, notice: CommitNotice) -> None:
        # A standby that takes over may lack the latest events. Streams notice it when they read the
        # log, so they have to read each event there.
        notice.appended.clear()
        super()._committed(notice)
        self._notifications.announce(notice)

    async def _notify(self, payload: str) -> None:
        await self._fetch("notify", channel=CHANNEL, payload=payload)


async def open_postgres(url: str, *, entropy: Entropy, on_batch: OnBatch = ignore) -> PostgresStore:
    """Open the store at an address (address.py); the schema is created if missing.

    Raises as `store.open.open_store` does.
    """
    address = parse(url)
    await asyncio.to_thread(prepare, address)
    pool = Pool(address)
    await asyncio.to_thread(pool.open)
    backend = Backend(
        PostgresWriter(pool, on_batch), PostgresReadPool(pool), STATEMENTS, Ids(entropy)
    )
    return PostgresStore(backend, pool, address, node=entropy(8).hex())
