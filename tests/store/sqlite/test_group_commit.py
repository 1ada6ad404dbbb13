"""Batches of the writer: what shares a commit, and what fails together."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from store.changes import CommitNotice
from store.errors import StoreFull, StoreLocked, StoreUnavailable
from store.group_commit import NORMAL_MEMBERS, URGENT_MEMBERS, GroupCommitWriter
from store.session import Session
from store.sqlite.batches import BatchRunner, WriterThread
from store.writer import BatchReport, Work
from tests.store.works import block, committed_keys, put, run

# --- one batch ------------------------------------------------------------------------------------


def fill(db: Session, _: CommitNotice) -> None:
    db.execute("INSERT INTO meta (key, value) VALUES ('large', ?)", ("x" * 10_000_000,))


def roll_back(db: Session, _: CommitNotice) -> None:
    """Roll back, as SQLite itself does after some failures."""
    db.execute("ROLLBACK")


def refuse_commit(db: Session, _: CommitNotice) -> None:
    """Violate a constraint that is checked only at the commit."""
    db.execute("CREATE TABLE child (key REFERENCES meta (key) DEFERRABLE INITIALLY DEFERRED)")
    db.execute("INSERT INTO child VALUES ('nothing')")


@pytest.mark.parametrize(
    ("works", "kind"),
    [
        ([put("a"), fill, put("b")], StoreFull),
        ([put("a"), refuse_commit], StoreUnavailable),
        ([roll_back], StoreUnavailable),
    ],
)
def test_a_transaction_that_fails_fails_all_members_and_the_next_one_works(
    runner: BatchRunner, other: sqlite3.Connection, works: list[Work[object]], kind: type[Exception]
) -> None:
    run(runner, lambda db, _: db.execute("PRAGMA max_page_count = 200"))

    with pytest.raises(kind):
        run(runner, *works)

    assert committed_keys(other) == []
    assert run(runner, put("a")) == ["a"]
    assert committed_keys(other) == ["a"]


def test_a_database_that_vanished_is_not_created_again(runner: BatchRunner, path: Path) -> None:
    run(runner, put("a"))
    runner.close()
    path.rename(path.with_suffix(".moved"))

    with pytest.raises(StoreFull):
        run(runner, put("b"))

    assert not path.exists()
    path.with_suffix(".moved").rename(path)
    assert run(runner, put("b")) == ["b"]


# --- the queues -----------------------------------------------------------------------------------


@pytest.fixture
def reports() -> list[BatchReport]:
    return []


@pytest.fixture
async def writer(
    runner: BatchRunner, reports: list[BatchReport]
) -> AsyncIterator[GroupCommitWriter]:
    thread = WriterThread(runner)
    writer = GroupCommitWriter(thread.run, reports.append)
    yield writer
    await writer.close()
    await thread.close()


async def test_a_batch_has_room_for_a_fixed_number_of_each_kind(
    writer: GroupCommitWriter, reports: list[BatchReport], other: sqlite3.Connection
) -> None:
    order: list[str] = []

    def record(key: str) -> Work[None]:
        return lambda _db, _notice: order.append(key)

    gate, blocked = await block(writer)
    normal = [f"n{number:02}" for number in range(NORMAL_MEMBERS + 1)]
    urgent = [f"u{number:02}" for number in range(URGENT_MEMBERS + 10)]
    waiting = [writer.normal(record(key)) for key in normal]
    waiting += [writer.urgent(record(key)) for key in urgent]
    gate.set()
    await asyncio.gather(blocked, *waiting)

    assert [report.members for report in reports] == [1, URGENT_MEMBERS + NORMAL_MEMBERS, 11]
    assert [report.waiting for report in reports] == [len(normal + urgent), 11, 0]
    first, second = urgent[:URGENT_MEMBERS], urgent[URGENT_MEMBERS:]
    assert order == [*first, *normal[:-1], *second, normal[-1]]


async def test_the_first_after_a_pause_waits_for_others(
    runner: BatchRunner, reports: list[BatchReport]
) -> None:
    thread = WriterThread(runner)
    writer = GroupCommitWriter(thread.run, reports.append, delay=0.05)

    first = asyncio.ensure_future(writer.urgent(put("a")))
    await asyncio.sleep(0.001)  # without a delay, its batch would have begun
    assert [await writer.normal(put("b")), await first] == ["b", "a"]

    assert [report.members for report in reports] == [2]
    await writer.close()
    await thread.close()


async def test_what_waits_behind_a_locked_database_fails_with_the_batch(
    writer: GroupCommitWriter, reports: list[BatchReport], other: sqlite3.Connection
) -> None:
    other.execute("BEGIN IMMEDIATE")
    waiting = [writer.urgent(put("first"))]
    await asyncio.sleep(0)  # its batch has begun
    waiting += [writer.urgent(put(f"{number:02}")) for number in range(URGENT_MEMBERS + 1)]
    waiting.append(writer.normal(put("normal")))

    outcomes = await asyncio.gather(*waiting, return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} == {StoreLocked}
    assert len(reports) == 1
    other.execute("ROLLBACK")
    assert await writer.urgent(put("later")) == "later"
