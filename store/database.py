"""The store: one object per subject, all on one database. A backend is a subclass of `Store`.

Every method that writes is one transaction: when it returns, the write is on disk; when it raises,
nothing was written, except after `OutcomeUnknown`, when it may have been. Every method may raise
`StoreUnavailable`. A method named `…_for_user` sees only that user's rows. The store calls
`on_commit` after each commit, never before.

Cancelling a caller does not cancel a write under way: it is committed or rolled back as a whole.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from store.archive import Archive
from store.callbacks import Callbacks
from store.changes import CommitNotice
from store.deliveries import Deliveries
from store.due import DueJobs
from store.events import Events
from store.idempotency import Idempotency
from store.job_writer import JobWriter
from store.jobs import Jobs
from store.keys import Keys
from store.ledger import Ledger
from store.outbox import Outbox
from store.places import Places
from store.repository import Backend, Repository
from store.retention import Retention
from store.session import Session
from store.statistics import Statistics
from store.writer import ignore

CHECK_CHARACTERS = 60_000
"""How much `check_writable` writes: a small write can succeed on a full disk, because SQLite reuses
the log space of a transaction that failed."""

LEASES = ("end-job-leases", "end-delivery-leases", "release-keys")
"""The statements of `Store.end_leases`."""


@dataclass(frozen=True, slots=True)
class Durability:
    """Whether a commit survives a crash of the machine."""

    crash_safe: bool
    detail: str
    """The database settings that decide it, and the schema version."""
    advice: str | None
    """What to do if it is not crash-safe, or should be safer."""


class Store(Repository, ABC):
    """The whole store. Open one with `store.open.open_store`."""

    subject = "database"

    exclusive: bool
    """Whether this store, while open for serving, excludes every other serving process."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self.on_commit: Callable[[CommitNotice], None] = ignore
        """Called in the event loop after each commit, before its callers continue; with an empty
        notice if it failed. Set it before the first write."""
        backend.writer.on_commit = self._committed
        self.ledger = Ledger(backend)
        job_writer = JobWriter(backend, self.ledger)
        self.jobs = Jobs(backend, job_writer, self.ledger)
        self.due = DueJobs(backend, job_writer)
        self.places = Places(backend)
        self.callbacks = Callbacks(backend, job_writer)
        self.events = Events(backend)
        self.idempotency = Idempotency(backend)
        self.deliveries = Deliveries(backend)
        self.outbox = Outbox(backend)
        self.archive = Archive(backend)
        self.keys = Keys(backend)
        self.statistics = Statistics(backend)
        self.retention = Retention(backend)

    def _committed(self, notice: CommitNotice) -> None:
        self.on_commit(notice)

    @property
    def busy(self) -> bool:
        """Whether the write queue is so long that another write for a client would be refused."""
        return self._writer.full

    async def check_writable(self) -> None:
        """Make a durable write. Raises `StoreUnavailable` if a callback could not be stored now."""
        one, other = (letter * CHECK_CHARACTERS for letter in "ab")
        await self._writer.urgent(self._run("touch", one=one, other=other))

    async def is_unused_copy(self) -> bool:
        """Whether no service has run yet on this copy: a backup, a database that was marked as
        restored, or a copy to PostgreSQL that was interrupted or made from a backup or from a moved
        store."""
        return bool(await self._fetch("read-copy-mark"))

    async def mark_as_copy(self) -> None:
        """Mark a database that was restored without `backup`: jobs may have been sent since."""
        await self._writer.normal(self._run("mark-copy"))

    async def remove_copy_mark(self) -> None:
        """Remove the copy mark: from now on a service runs on this database."""
        await self._writer.normal(self._run("remove-copy-mark"))

    async def end_leases(self) -> None:
        """End every lease, and release the idempotency keys in use: the process that took them is
        gone."""

        def work(db: Session, _: CommitNotice) -> None:
            for statement in LEASES:
                db.execute(self._sql[statement])

        await self._writer.normal(work)

    async def close(self) -> None:
        """Finish the queued work and stop."""
        try:
            await self._writer.close()
        finally:
            await self._reads.close()

    @abstractmethod
    async def durability(self) -> Durability:
        """Ask the database whether its settings make commits crash-safe."""

    @abstractmethod
    async def changed_elsewhere(self) -> bool:
        """Whether another process may have committed since the last call (or since the opening)."""

    @abstractmethod
    async def sizes(self) -> Mapping[str, int]:
        """Bytes on disk by name: `database`; for SQLite also `wal`, and what is `free`."""
