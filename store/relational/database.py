"""A store on a SQL database: its parts, put together."""

from collections.abc import Callable

from store.contract import Callbacks, Changes, Deliveries, Events, Idempotency, Jobs, Keys
from store.relational.advance import Changer
from store.relational.backend import Backend
from store.relational.callbacks import SqlCallbacks
from store.relational.deliveries import SqlDeliveries
from store.relational.events import SqlEvents
from store.relational.idempotency import SqlIdempotency
from store.relational.jobs import SqlJobs
from store.relational.keys import SqlKeys
from store.relational.session import Effects, Session


class SqlStore:
    """What of `store.contract.Store` is the same for every backend."""

    def __init__(self, backend: Backend) -> None:
        changer = Changer(backend.statements, backend.random)
        self.jobs: Jobs = SqlJobs(backend, changer)
        self.callbacks: Callbacks = SqlCallbacks(backend, changer)
        self.events: Events = SqlEvents(backend)
        self.idempotency: Idempotency = SqlIdempotency(backend)
        self.deliveries: Deliveries = SqlDeliveries(backend)
        self.keys: Keys = SqlKeys(backend)
        self._writer = backend.writer
        self._readers = backend.readers
        self._sql = backend.statements.load("database")

    @property
    def on_change(self) -> Callable[[Changes], None]:
        return self._writer.on_change

    @on_change.setter
    def on_change(self, ring: Callable[[Changes], None]) -> None:
        self._writer.on_change = ring

    @property
    def busy(self) -> bool:
        return self._writer.full

    async def check_writable(self) -> None:
        def work(session: Session, _: Effects) -> None:
            session.execute(self._sql["touch"])

        await self._writer.urgent(work)

    async def restored(self) -> bool:
        return bool(await self._readers.fetch(self._sql["read-copy-mark"], {}))

    async def accept_restore(self) -> None:
        def work(session: Session, _: Effects) -> None:
            session.execute(self._sql["remove-copy-mark"])

        await self._writer.background(work)

    async def close(self) -> None:
        """Finish what is queued, and end."""
        try:
            await self._writer.close()
        finally:
            await self._readers.close()
