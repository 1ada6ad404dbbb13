"""The batch runner and the writer's thread: order, failures and notifications."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from store import batch_sizer
from store import writer as writer_module
from store.batch_sizer import MAX_BACKGROUND, MAX_URGENT
from store.changes import Changes
from store.errors import NotFound, StoreBusy, StoreFull, StoreUnavailable
from store.records.times import Lane
from store.session import Done, Failed, Session, Work
from store.sqlite.batches import BatchRunner
from store.writer import BatchReport, ThreadedWriter
from tests.store.gate import block
from tests.store.works import committed_keys, fail, limit_pages, put

# --- one batch ------------------------------------------------------------------------------------


def fill(db: Session, _: Changes) -> None:
    db.execute("INSERT INTO meta (key, value) VALUES ('large', ?)", ("x" * 10_000_000,))


def refer_to_nothing(db: Session, _: Changes) -> None:
    """Make the commit fail: it is when a deferred constraint is checked."""
    db.execute("PRAGMA defer_foreign_keys = ON")
    db.execute(
        "INSERT INTO api_keys (hash, prefix, user_id, admin, created_at)"
        " VALUES (?, 'rk_', 99, 0, 0)",
        ("0" * 64,),
    )


def roll_back(db: Session, _: Changes) -> None:
    """Roll back, as SQLite itself does after some failures."""
    db.execute("ROLLBACK")


@pytest.mark.parametrize(
    ("works", "kind"),
    [
        ([put("a"), fill, put("b")], StoreFull),
        ([put("a"), refer_to_nothing], sqlite3.IntegrityError),
        ([roll_back], StoreUnavailable),
    ],
)
def test_a_transaction_that_fails_fails_all_members_and_the_next_one_works(
    runner: BatchRunner, other: sqlite3.Connection, works: list[Work[object]], kind: type[Exception]
) -> None:
    runner.run([limit_pages(200)])

    outcomes, changes, *_ = runner.run(works)

    errors = [outcome.error for outcome in outcomes if isinstance(outcome, Failed)]
    assert [type(error) for error in errors] == [kind] * len(works)
    assert changes == Changes()
    assert committed_keys(other) == []
    assert runner.run([put("a")])[0] == [Done("a")]
    assert committed_keys(other) == ["a"]


def test_a_database_that_vanished_is_not_created_again(runner: BatchRunner, path: Path) -> None:
    runner.run([put("a")])
    runner.close()
    path.rename(path.with_suffix(".moved"))

    (outcome,) = runner.run([put("b")]).outcomes

    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, StoreFull)
    assert not path.exists()
    path.with_suffix(".moved").rename(path)
    assert runner.run([put("b")])[0] == [Done("b")]


# --- the thread -----------------------------------------------------------------------------------


@pytest.fixture
def reports() -> list[BatchReport]:
    return []


@pytest.fixture
async def writer(runner: BatchRunner, reports: list[BatchReport]) -> AsyncIterator[ThreadedWriter]:
    writer = ThreadedWriter(runner, reports.append)
    yield writer
    await writer.close()


@pytest.fixture
def unlimited_urgent_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the number of a batch's urgent members is limited: their time here varies."""
    monkeypatch.setattr(batch_sizer, "URGENT_TIME", 60.0)


@pytest.mark.usefixtures("unlimited_urgent_time")
async def test_waiting_works_share_commits_of_a_limited_number(
    writer: ThreadedWriter, reports: list[BatchReport], other: sqlite3.Connection
) -> None:
    gate, blocked = await block(writer)
    keys = [f"{n:02}" for n in range(MAX_URGENT + 10)]
    waiting = [writer.urgent(put(key)) for key in keys]
    gate.open()

    assert await asyncio.gather(blocked, *waiting) == [None, *keys]

    assert committed_keys(other) == keys
    assert [report.members for report in reports] == [1, MAX_URGENT, 10]
    assert [report.waiting for report in reports] == [MAX_URGENT + 10, 10, 0]


async def test_on_change_is_called_once_per_batch_with_all_changes(
    writer: ThreadedWriter, other: sqlite3.Connection
) -> None:
    notified: list[tuple[Changes, list[str]]] = []
    writer.on_change = lambda changes: notified.append((changes, committed_keys(other)))

    def due(lane: Lane) -> Work[None]:
        return lambda _db, changes: changes.add_due(lane, 7)

    gate, blocked = await block(writer)
    members = [put("a"), fail(NotFound("x"), put("half")), put("b"), due(Lane.POLL), due(Lane.WAIT)]
    waiting = [writer.urgent(work) for work in members]
    gate.open()
    await asyncio.gather(blocked, *waiting, return_exceptions=True)

    assert notified[-1] == (Changes(jobs={"a", "b"}, due={Lane.POLL: 7, Lane.WAIT: 7}), ["a", "b"])
    assert len(notified) == 2


async def test_on_change_that_fails_leaves_no_caller_waiting(
    writer: ThreadedWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))

    def notify(_: Changes) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr(writer, "on_change", notify)

    assert await writer.urgent(put("a")) == "a"
    assert len(faults) == 1


async def test_a_full_queue_refuses_at_once(
    writer: ThreadedWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "MAX_QUEUED", 2)
    gate, blocked = await block(writer)
    waiting = [writer.urgent(put("a")), writer.urgent(put("b"))]

    with pytest.raises(StoreBusy):
        await writer.urgent(put("c"))

    beside = writer.normal(put("d"))  # the other queue has room
    gate.open()
    await asyncio.gather(blocked, beside, *waiting)
    assert await writer.urgent(put("c")) == "c"


async def test_behind_a_slow_disk_the_queue_is_shorter(
    writer: ThreadedWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_sizer, "MAX_URGENT", 1)
    monkeypatch.setattr(writer_module, "MAX_QUEUE_SECONDS", 0.01)
    slow, blocked = await block(writer)
    await asyncio.sleep(0.02)
    slow.open()
    await blocked

    gate, blocked = await block(writer)
    full_with = [writer.full]
    first = writer.urgent(put("a"))
    full_with.append(writer.full)
    assert full_with == [False, True]
    with pytest.raises(StoreBusy):
        await writer.urgent(put("b"))
    gate.open()
    await asyncio.gather(blocked, first)


async def test_closing_finishes_the_queue(runner: BatchRunner, other: sqlite3.Connection) -> None:
    writer = ThreadedWriter(runner)
    gate, blocked = await block(writer)
    waiting = [
        writer.normal(put("a")),
        writer.urgent(put("b")),
        *(writer.normal(put(f"c{n}")) for n in range(MAX_BACKGROUND)),
    ]
    closing = asyncio.ensure_future(writer.close())
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable):
        await writer.urgent(put("late"))
    gate.open()

    await asyncio.gather(blocked, closing, *waiting)
    assert len(committed_keys(other)) == 2 + MAX_BACKGROUND
    await writer.close()


async def test_closing_does_not_wait_for_ever(
    runner: BatchRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "CLOSING_TIME", 0.01)
    writer = ThreadedWriter(runner)
    gate, blocked = await block(writer)

    with pytest.raises(StoreUnavailable):
        await writer.close()

    gate.open()
    await blocked
    monkeypatch.setattr(writer_module, "CLOSING_TIME", 10)
    await writer.close()
