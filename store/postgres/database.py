"""The PostgreSQL store, which several processes may share."""

import asyncio
from collections.abc import Mapping

from store.changes import Changes
from store.database import Durability, Store
from store.ids import Entropy, Ids
from store.postgres.address import Address, parse
from store.postgres.batches import PostgresBatchRunner
from store.postgres.connection import STATEMENTS, Connector, prepare
from store.postgres.foreign_commits import ForeignCommits
from store.postgres.notifications import CHANNEL, Notifications
from store.postgres.readers import PooledReaders
from store.repository import Backend
from store.writer import OnBatch, ThreadedWriter, ignore

STANDBY_MAY_LAG = (
    "Set synchronous_standby_names in postgresql.conf if another host is a standby: one that lags"
    " when it takes over has jobs paid for twice."
)


class PostgresStore(Store):
    """The store in a PostgreSQL database. Processes notify each other of their commits."""

    exclusive = False

    def __init__(
        self, backend: Backend, foreign_commits: ForeignCommits, address: Address, node: str
    ) -> None:
        super().__init__(backend)
        self._foreign_commits = foreign_commits
        self._fails_over = address.has_several_hosts
        self._notifications = Notifications(node, address, self._notify, super()._committed)

    async def changed_elsewhere(self) -> bool:
        ((text,),) = await self._fetch("snapshot")
        changed = self._foreign_commits.changed(text)
        return self._notifications.pop_missed() or changed

    async def durability(self) -> Durability:
        ((fsync, full_page_writes, standbys, version),) = await self._fetch("durability")
        # synchronous_commit matters too, but need not be checked: each transaction turns it on if
        # it is off (`configure-transaction`).
        crash_safe = (fsync, full_page_writes) == ("on", "on")
        advice = STANDBY_MAY_LAG if self._fails_over and not standbys else None
        return Durability(
            crash_safe,
            f"fsync {fsync}, full_page_writes {full_page_writes}, schema {version}",
            advice if crash_safe else "Turn on fsync and full_page_writes in postgresql.conf.",
        )

    async def upkeep(self) -> Mapping[str, int]:
        ((size,),) = await self._fetch("size")
        return {"database": size}

    async def close(self) -> None:
        await self._notifications.close()
        await super().close()

    def _committed(self, changes: Changes) -> None:
        super()._committed(changes)
        self._notifications.announce(changes)

    async def _notify(self, payload: str) -> None:
        ((_, transaction),) = await self._fetch("notify", channel=CHANNEL, payload=payload)
        self._foreign_commits.record_own(int(transaction))


async def open_postgres(url: str, *, entropy: Entropy, on_batch: OnBatch = ignore) -> PostgresStore:
    """Open the store at an address (address.py); the schema is created if missing.

    Raises as `store.open.open_store` does.
    """
    address = parse(url)
    await asyncio.to_thread(prepare, address)
    readers = await PooledReaders.open(address)
    foreign_commits = ForeignCommits()
    node = entropy(8).hex()
    runner = PostgresBatchRunner(Connector(address), node, foreign_commits.record_own)
    backend = Backend(ThreadedWriter(runner, on_batch), readers, STATEMENTS, Ids(entropy))
    return PostgresStore(backend, foreign_commits, address, node)
