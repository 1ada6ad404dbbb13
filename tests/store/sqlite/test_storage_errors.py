"""A store whose disk fails, or whose database is locked."""

import asyncio
import resource
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from store.errors import OutcomeUnknown, StoreCorrupt, StoreFull, StoreLocked, StoreUnavailable
from store.session import Failed
from store.sqlite.backup import back_up
from store.sqlite.batches import BatchRunner
from store.sqlite.connection import connect_writer, prepare
from store.sqlite.database import SqliteStore
from store.sqlite.failures import to_store_error
from store.writer import BatchReport, ThreadedWriter
from tests.store.gate import block, next_batch
from tests.store.world import World, waiting


async def test_a_lock_held_too_long_is_unavailable_and_passes(
    store: SqliteStore, world: World, other: sqlite3.Connection
) -> None:
    job = await world.create()
    other.execute("BEGIN IMMEDIATE")

    writes: list[Callable[[], Awaitable[object]]] = [
        partial(world.receive, job),
        world.create,
        store.check_writable,
        partial(store.jobs.make_poll_due, job.id, 0),
    ]
    for write in writes:
        with pytest.raises(StoreLocked):
            await write()
    assert await store.jobs.find(job.id) == job  # reads still work

    other.execute("ROLLBACK")
    assert await world.receive(job) == "accepted"


async def test_writes_queued_while_a_batch_waits_for_the_lock_fail_with_it(
    store: SqliteStore, world: World, other: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await world.create()
    batches: list[BatchReport] = []
    writer = store._writer
    assert isinstance(writer, ThreadedWriter)
    writer._on_batch = batches.append
    # Long enough to queue more writes meanwhile, even on a busy machine.
    await writer.normal(lambda db, _: db.execute("PRAGMA busy_timeout = 1000"))
    batches.clear()
    begun = next_batch(writer, monkeypatch)
    other.execute("BEGIN IMMEDIATE")

    first = asyncio.ensure_future(world.receive(job))
    await begun.wait()
    late = [asyncio.ensure_future(world.create()) for _ in range(3)]
    outcomes = await asyncio.gather(first, *late, return_exceptions=True)

    assert [type(each) for each in outcomes] == [StoreLocked] * 4
    assert len(batches) == 1
    other.execute("ROLLBACK")


async def test_the_check_needs_as_much_room_as_a_job(
    store: SqliteStore, world: World, path: Path, other: sqlite3.Connection
) -> None:
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM jobs").fetchall()  # so the log is not restarted
    await store.check_writable()
    log = path.with_name("receiver.db-wal").stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log + 10 * 4_120, limits[1]))
    try:
        for write in (world.create, store.check_writable):
            with pytest.raises(StoreFull):
                await write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    await store.check_writable()


@pytest.mark.parametrize("replaced", [False, True])
async def test_nothing_is_acknowledged_once_the_file_is_removed_or_replaced(
    store: SqliteStore, path: Path, replaced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.sqlite.database.WAL_LIMIT", 1)
    await store.check_writable()
    kept = path.rename(path.with_name("kept"))
    if replaced:
        shutil.copy(kept, path)

    for write in (*[store.check_writable] * 2, store.upkeep):  # a new connection does not help
        with pytest.raises(StoreUnavailable, match=r"receiver\.db was removed or replaced"):
            await write()

    kept.replace(path)
    await store.check_writable()


async def test_a_copy_beside_the_log_of_a_removed_file_is_left_unchanged(
    store: SqliteStore, path: Path
) -> None:
    copy = path.with_name("copy.db")
    back_up(path, copy)
    await store.check_writable()
    path.unlink()
    copy.rename(path)
    content = path.read_bytes()

    for opening in (prepare, partial(back_up, target=copy)):
        with pytest.raises(StoreUnavailable, match=r"receiver\.db-wal is the log of another"):
            opening(path)

    assert path.read_bytes() == content
    path.with_name("receiver.db-wal").unlink()
    prepare(path)


async def test_only_other_processes_commits_are_noticed(
    store: SqliteStore, other: sqlite3.Connection
) -> None:
    assert await store.changed_elsewhere()  # may be true, because of the opening
    assert not await store.changed_elsewhere()
    await store.check_writable()
    assert not await store.changed_elsewhere()

    other.execute("INSERT INTO meta VALUES ('a', 'b')")

    assert await store.changed_elsewhere()
    assert not await store.changed_elsewhere()


async def test_another_processes_commit_is_noticed_after_a_failed_batch(
    store: SqliteStore, other: sqlite3.Connection
) -> None:
    writer = store._writer
    await store.changed_elsewhere()
    other.execute("INSERT INTO meta VALUES ('a', 'b')")
    gate, blocked = await block(writer)
    together = store.changed_elsewhere(), writer.normal(lambda db, _: db.execute("ROLLBACK"))
    failing = asyncio.gather(*together, return_exceptions=True)
    await asyncio.sleep(0)

    gate.open()
    await blocked

    assert [type(each) for each in await failing] == [StoreUnavailable] * 2
    assert await store.changed_elsewhere()


@pytest.fixture
def short_log(monkeypatch: pytest.MonkeyPatch) -> int:
    """Limits the log to a few dozen pages; returns the limit in bytes."""
    limit = 100_000
    monkeypatch.setattr("store.sqlite.connection.WAL_AUTOCHECKPOINT_PAGES", 10)
    for module in ("connection", "database"):
        monkeypatch.setattr(f"store.sqlite.{module}.WAL_LIMIT", limit)
    return limit


async def test_a_slow_reader_delays_neither_writers_nor_the_log_for_ever(
    short_log: int, store: SqliteStore, world: World, path: Path, other: sqlite3.Connection
) -> None:
    job = await world.create()
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM jobs").fetchall()
    for number in range(40):
        assert await world.receive(job, b"%d" % number * 1_000) == "accepted"
    grown = path.with_name("receiver.db-wal").stat().st_size
    assert grown > short_log
    assert (await store.upkeep())["wal"] >= grown  # the reader still needs the log

    other.execute("COMMIT")
    await store.upkeep()

    size = path.stat().st_size
    assert await store.upkeep() == {"database": size, "wal": short_log}


async def test_no_read_stays_open(
    store: SqliteStore, world: World, other: sqlite3.Connection
) -> None:
    job = await world.create()
    await asyncio.gather(
        store.jobs.find(job.id),
        store.events.after_for_user(world.ann.id, 0, 10),
        store.events.snapshot_for_user(world.ann.id, 10),
        waiting(store),
    )

    busy, _, _ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    assert busy == 0


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("SQLITE_BUSY", StoreLocked),
        ("SQLITE_BUSY_SNAPSHOT", StoreLocked),
        ("SQLITE_LOCKED", StoreLocked),
        ("SQLITE_FULL", StoreFull),
        ("SQLITE_IOERR_FSYNC", StoreFull),
        ("SQLITE_READONLY", StoreFull),
        ("SQLITE_READONLY_DBMOVED", StoreFull),
        ("SQLITE_CANTOPEN", StoreFull),
        ("SQLITE_NOTADB", StoreCorrupt),
        ("SQLITE_CORRUPT_INDEX", StoreCorrupt),
    ],
)
def test_error_codes_are_translated(name: str, kind: type[Exception]) -> None:
    assert type(to_store_error(failure(name))) is kind
    assert issubclass(kind, StoreUnavailable) == (kind is not StoreCorrupt)


def test_a_violated_constraint_is_not_a_failure_of_the_database() -> None:
    error = sqlite3.IntegrityError()
    error.sqlite_errorcode = sqlite3.SQLITE_CONSTRAINT_UNIQUE

    assert to_store_error(error) is None
    assert to_store_error(sqlite3.ProgrammingError("closed")) is None


def failure(name: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("unused")
    error.sqlite_errorcode = getattr(sqlite3, name)
    error.sqlite_errorname = name
    return error


class _FailingCommit:
    """A connection whose COMMIT fails."""

    def __init__(self, inner: sqlite3.Connection, error: sqlite3.Error) -> None:
        self._inner = inner
        self._error = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def commit(self) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("SQLITE_IOERR_FSYNC", OutcomeUnknown),
        ("SQLITE_IOERR_SHMMAP", OutcomeUnknown),
        ("SQLITE_IOERR_WRITE", StoreFull),
        ("SQLITE_FULL", StoreFull),
        ("SQLITE_BUSY", StoreLocked),
    ],
)
def test_a_commit_that_fails_says_whether_it_may_have_been_written(
    path: Path, name: str, kind: type[Exception]
) -> None:
    runner = BatchRunner(
        lambda: cast(sqlite3.Connection, _FailingCommit(connect_writer(path), failure(name)))
    )

    outcomes, changes, *_ = runner.run([lambda *_: None, lambda *_: None])

    first, second = outcomes
    assert isinstance(first, Failed)
    assert isinstance(second, Failed)
    assert type(first.error) is type(second.error) is kind
    assert first.error is not second.error
    assert not changes.jobs
