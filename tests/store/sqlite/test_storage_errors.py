"""A store whose disk fails, or whose database is locked."""

import asyncio
import resource
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from store.changes import CommitNotice
from store.database import Store
from store.errors import OutcomeUnknown, StoreCorrupt, StoreFull, StoreLocked, StoreUnavailable
from store.session import Session
from store.sqlite.backup import back_up
from store.sqlite.batches import BatchRunner
from store.sqlite.connection import Connection, prepare
from store.sqlite.failures import to_store_error
from tests.store.works import put, run
from tests.store.world import World


async def test_a_lock_held_too_long_is_unavailable_and_passes(
    store: Store, world: World, other: sqlite3.Connection
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


async def test_the_check_needs_as_much_room_as_a_job(
    store: Store, world: World, path: Path, other: sqlite3.Connection
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
    store: Store, path: Path, replaced: bool
) -> None:
    await store.check_writable()
    kept = path.rename(path.with_name("kept"))
    if replaced:
        shutil.copy(kept, path)

    for _ in range(2):  # a new connection does not help
        with pytest.raises(StoreUnavailable, match=r"receiver\.db was removed or replaced"):
            await store.check_writable()

    kept.replace(path)
    await store.check_writable()


async def test_a_copy_beside_the_log_of_a_removed_file_is_left_unchanged(
    store: Store, path: Path
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
    store: Store, other: sqlite3.Connection
) -> None:
    assert await store.changed_elsewhere()  # may be true, because of the opening
    assert not await store.changed_elsewhere()
    await store.check_writable()
    assert not await store.changed_elsewhere()

    other.execute("INSERT INTO meta VALUES ('a', 'b')")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreLocked):
        await store.check_writable()
    other.execute("ROLLBACK")

    assert await store.changed_elsewhere(), "even after a batch that failed"
    assert not await store.changed_elsewhere()


async def test_a_long_log_is_truncated_once_no_reader_needs_it(
    store: Store, other: sqlite3.Connection
) -> None:
    limit = 64 * 1024 * 1024

    def fill(db: Session, _: CommitNotice) -> None:
        db.execute("INSERT INTO meta (key, value) VALUES ('large', ?)", ("x" * limit,))

    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM jobs").fetchall()
    await store._writer.normal(fill)
    await store.check_writable()
    assert (await store.sizes())["wal"] > limit  # the reader still needs the log

    other.execute("COMMIT")
    for _ in range(2):
        await store.check_writable()

    sizes = await store.sizes()
    assert sizes["wal"] <= limit < sizes["database"]


async def test_no_read_stays_open(store: Store, world: World, other: sqlite3.Connection) -> None:
    job = await world.create()
    await asyncio.gather(
        store.jobs.find(job.id),
        store.events.after_for_user(world.ann.id, 0, 10),
        store.events.snapshot_for_user(world.ann.id, 10),
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


def failure(name: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("unused")
    error.sqlite_errorcode = getattr(sqlite3, name)
    error.sqlite_errorname = name
    return error


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
    runner: BatchRunner, monkeypatch: pytest.MonkeyPatch, name: str, kind: type[Exception]
) -> None:
    def fail(_: Connection) -> None:
        raise failure(name)

    monkeypatch.setattr(Connection, "commit", fail)

    with pytest.raises(kind) as raised:
        run(runner, put("a"))

    assert type(raised.value) is kind
