"""The store in one SQLite file."""

import shutil
from collections.abc import Mapping
from contextlib import AsyncExitStack, closing
from functools import partial
from pathlib import Path

from store.changes import CommitNotice
from store.database import Durability, Store
from store.group_commit import GroupCommitWriter
from store.ids import Entropy, Ids
from store.repository import Backend
from store.session import ReadPool, Session
from store.sqlite.batches import BatchRunner, WriterThread
from store.sqlite.connection import (
    STATEMENTS,
    check_in_place,
    check_not_moved,
    connect_reader,
    connect_writer,
    prepare,
)
from store.sqlite.failures import translate_errors
from store.sqlite.lockfile import real_path, serving_lock
from store.sqlite.read_pool import SqliteReadPool
from store.writer import OnBatch, Writer, ignore


class SqliteStore(Store):
    exclusive = True

    def __init__(
        self,
        path: Path,
        writer: Writer,
        reads: ReadPool,
        entropy: Entropy,
        resources: AsyncExitStack | None = None,
    ) -> None:
        """`resources` are closed last."""
        super().__init__(Backend(writer, reads, STATEMENTS, Ids(entropy)))
        self._path = path
        self._resources = resources or AsyncExitStack()
        self._seen: tuple[Session, int] | None = None

    async def changed_elsewhere(self) -> bool:
        def work(db: Session, _: CommitNotice) -> bool:
            # Only the writer's connection can tell its own commits from those of others. It is
            # closed if the batch fails, so the next call returns True.
            ((version,),) = db.execute("PRAGMA data_version").fetchall()
            before, self._seen = self._seen, (db, version)
            return before != self._seen  # True at first: others may have written since the opening

        return await self._writer.normal(work)

    async def durability(self) -> Durability:
        def work(db: Session, _: CommitNotice) -> Durability:
            # `synchronous` belongs to the connection, so ask the one that commits.
            journal, synchronous, version = (
                db.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("journal_mode", "synchronous", "user_version")
            )
            crash_safe = (journal, synchronous) == ("wal", 2)
            return Durability(
                crash_safe,
                f"journal {journal}, synchronous {synchronous}, schema {version}",
                None if crash_safe else "Move the database to a local disk.",
            )

        return await self._writer.normal(work)

    async def sizes(self) -> Mapping[str, int]:
        wal = self._path.with_name(f"{self._path.name}-wal")
        free = shutil.disk_usage(self._path.parent).free
        return {"database": _size(self._path), "wal": _size(wal), "free": free}

    async def close(self) -> None:
        async with self._resources:
            await super().close()


async def open_sqlite(
    path: Path,
    *,
    entropy: Entropy,
    serving: bool,
    on_batch: OnBatch = ignore,
    commit_delay: float = 0.0,
) -> SqliteStore:
    """Open the store in the file at `path`, which is created if missing.

    Raises as `store.open.open_store` does.
    """
    async with AsyncExitStack() as resources:
        path = _prepare(path, serving, resources)
        reads = await SqliteReadPool.open(path)
        check = partial(check_in_place, path, path.stat())
        thread = WriterThread(BatchRunner(partial(connect_writer, path), check))
        resources.push_async_callback(thread.close)
        writer = GroupCommitWriter(thread.run, on_batch, delay=commit_delay)
        return SqliteStore(path, writer, reads, entropy, resources.pop_all())


def _prepare(path: Path, serving: bool, resources: AsyncExitStack) -> Path:
    """Lock the file if `serving`, prepare it, and check that it has not moved. Returns its resolved
    path. Blocks: nothing runs yet, and the schema may have to be upgraded first."""
    path = real_path(path)
    if serving:
        resources.enter_context(serving_lock(path))
    prepare(path, upgrade=serving)
    with translate_errors(), closing(connect_reader(path)) as connection:
        check_not_moved(connection, path)
    return path


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
