"""A store in one SQLite file."""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

from store.contract import Callbacks, Changes, Deliveries, Events, Idempotency, Jobs, Keys
from store.ids import Entropy, Ids
from store.sqlite import sql
from store.sqlite.advance import Randomness
from store.sqlite.backup import back_up
from store.sqlite.batches import BatchRunner
from store.sqlite.callbacks import SqliteCallbacks
from store.sqlite.connection import BUSY_TIMEOUT, WAL_LIMIT, connect_writer, prepare
from store.sqlite.deliveries import SqliteDeliveries
from store.sqlite.events import SqliteEvents
from store.sqlite.failures import translated
from store.sqlite.idempotency import SqliteIdempotency
from store.sqlite.jobs import SqliteJobs
from store.sqlite.keys import SqliteKeys
from store.sqlite.lockfile import ServingLock
from store.sqlite.readers import AiosqliteReaders, Readers
from store.sqlite.writer import OnBatch, ThreadedWriter, Writer, ignore

_SQL = sql.load("database")


class SqliteStore:
    """`store.contract.Store` on SQLite: what a writer and readers of one file make together."""

    def __init__(
        self,
        path: Path,
        writer: Writer,
        readers: Readers,
        entropy: Entropy,
        lock: ServingLock | None = None,
    ) -> None:
        random = Randomness(entropy, Ids(entropy))
        self.jobs: Jobs = SqliteJobs(writer, readers, random)
        self.callbacks: Callbacks = SqliteCallbacks(writer, readers)
        self.events: Events = SqliteEvents(readers)
        self.idempotency: Idempotency = SqliteIdempotency(writer, readers)
        self.deliveries: Deliveries = SqliteDeliveries(writer, readers)
        self.keys: Keys = SqliteKeys(writer, readers, random)
        self.exclusive = True
        self._path = path
        self._writer = writer
        self._readers = readers
        self._lock = lock
        self._seen: tuple[sqlite3.Connection, int] | None = None

    @property
    def on_change(self) -> Callable[[Changes], None]:
        return self._writer.on_change

    @on_change.setter
    def on_change(self, ring: Callable[[Changes], None]) -> None:
        self._writer.on_change = ring

    async def check_writable(self) -> None:
        def work(db: sqlite3.Connection, _changes: Changes) -> None:
            db.execute(_SQL["touch"])

        await self._writer.urgent(work)

    async def changed_elsewhere(self) -> bool:
        def work(db: sqlite3.Connection, _changes: Changes) -> bool:
            # Only the writer's own connection can tell its commits from everybody else's.
            ((version,),) = db.execute("PRAGMA data_version").fetchall()
            before, self._seen = self._seen, (db, version)
            return before is not None and before != self._seen

        return await self._writer.background(work)

    async def restored(self) -> bool:
        return bool(await self._readers.fetch(_SQL["read-copy-mark"], {}))

    async def accept_restore(self) -> None:
        def work(db: sqlite3.Connection, _changes: Changes) -> None:
            db.execute(_SQL["remove-copy-mark"])

        await self._writer.background(work)

    async def backup(self, target: Path) -> None:
        await asyncio.to_thread(back_up, self._path, target)

    async def upkeep(self) -> Mapping[str, int]:
        wal = self._path.with_name(f"{self._path.name}-wal")
        if _size(wal) > WAL_LIMIT:
            await asyncio.to_thread(_truncate_wal, self._path)
        return {"database": _size(self._path), "wal": _size(wal)}

    async def close(self) -> None:
        try:
            try:
                await self._writer.close()
            finally:
                await self._readers.close()
        finally:
            if self._lock is not None:
                self._lock.release()


async def open_sqlite(
    path: Path,
    *,
    entropy: Entropy,
    serving: bool,
    on_batch: OnBatch = ignore,
    busy_timeout: int = BUSY_TIMEOUT,
) -> SqliteStore:
    """Open the store in the file at `path`, which is made where it is not there.

    `busy_timeout` is in milliseconds. Raises as `store.open.open_store` does.
    """
    path, lock = await asyncio.to_thread(_prepare, path, serving, busy_timeout)
    try:
        readers = await AiosqliteReaders.open(path, busy_timeout)
    except BaseException:
        if lock is not None:
            lock.release()
        raise
    writer = ThreadedWriter(BatchRunner(partial(connect_writer, path, busy_timeout)), on_batch)
    return SqliteStore(path, writer, readers, entropy, lock)


def _prepare(path: Path, serving: bool, busy_timeout: int) -> tuple[Path, ServingLock | None]:
    """The file's own path, ready to be opened, and the lock on it where it is to be served from."""
    path = path.resolve()
    lock = ServingLock.take(path) if serving else None
    try:
        prepare(path, busy_timeout)
    except BaseException:
        if lock is not None:
            lock.release()
        raise
    return path, lock


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _truncate_wal(path: Path) -> None:
    with translated(), closing(connect_writer(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
