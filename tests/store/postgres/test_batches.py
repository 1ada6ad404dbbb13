"""Units of work that share a transaction on PostgreSQL: those enqueued in the same iteration of the
event loop, and those that wait while all threads are busy."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial

import psycopg
import pytest

from store.changes import CommitNotice
from store.errors import NotFound, OutcomeUnknown, StorageFull
from store.postgres.address import parse
from store.postgres.pool import Pool
from store.postgres.writer import PostgresWriter
from store.session import Session
from store.writer import BatchReport, Work
from tests.store.postgres.test_transactions import end_sessions
from tests.store.works import committed_keys, fail, put


@contextlib.asynccontextmanager
async def writing(url: str) -> AsyncIterator[tuple[PostgresWriter, list[BatchReport]]]:
    pool, reports = Pool(parse(url)), list[BatchReport]()
    pool.open()
    writer = PostgresWriter(pool, reports.append)
    yield writer, reports
    await writer.close()
    await asyncio.to_thread(pool.close)


async def test_what_waits_is_committed_together_and_a_failure_is_its_own(
    postgres_url: str, other: psycopg.Connection
) -> None:
    async with writing(postgres_url) as (writer, reports):
        notices: list[CommitNotice] = []
        writer.on_commit = notices.append
        works: list[Work[object]] = [
            put("a"),
            fail(NotFound("x"), put("half")),
            put("a"),
            fail(RuntimeError("a mistake")),
            put("b"),
        ]
        outcomes = await asyncio.gather(
            *(writer.urgent(work, f"job {n}") for n, work in enumerate(works)),
            return_exceptions=True,
        )

        assert [outcomes[0], outcomes[4]] == ["a", "b"]
        assert list(map(type, outcomes[1:4])) == [
            NotFound,
            psycopg.errors.UniqueViolation,
            RuntimeError,
        ]
        assert committed_keys(other) == ["a", "b"]
        assert [report.members for report in reports] == [5]
        assert notices == [CommitNotice(jobs={"a", "b"})]


async def test_jobs_come_in_the_order_of_their_ids_and_then_the_last_writes_by_user(
    postgres_url: str,
) -> None:
    order: list[str] = []

    def note(what: str, _: Session) -> None:
        order.append(what)

    def work(what: str, user: int, db: Session, notice: CommitNotice) -> None:
        order.append(what)
        notice.write_last(user, partial(note, f"{what} of {user}"))

    async with writing(postgres_url) as (writer, _):
        waiting = [
            asyncio.ensure_future(writer.urgent(partial(work, "new", 8), 8)),
            asyncio.ensure_future(writer.urgent(partial(work, "second", 9), "job 2")),
            asyncio.ensure_future(writer.urgent(partial(work, "first", 8), "job 1")),
            asyncio.ensure_future(writer.urgent(partial(work, "third", 7), "job 3")),
        ]
    await asyncio.gather(*waiting)

    assert order == [
        *("first", "second", "third"),
        *("third of 7", "new", "new of 8", "first of 8", "second of 9"),
    ]


async def test_a_new_job_that_is_refused_with_its_last_write_fails_alone(
    postgres_url: str, other: psycopg.Connection
) -> None:
    def refused(_: Session) -> None:
        raise StorageFull("ada")

    def new(db: Session, notice: CommitNotice) -> None:
        put("new")(db, notice)
        notice.write_last(1, refused)

    async with writing(postgres_url) as (writer, reports):
        outcomes = await asyncio.gather(
            writer.urgent(put("a"), "job"),
            writer.urgent(new, 1),
            writer.urgent(put("b"), 1),
            return_exceptions=True,
        )

        assert [outcomes[0], outcomes[2]] == ["a", "b"]
        assert isinstance(outcomes[1], StorageFull)
        assert committed_keys(other) == ["a", "b"]
        assert [report.members for report in reports] == [3]


async def test_a_last_write_that_fails_takes_nobody_with_it(
    postgres_url: str, other: psycopg.Connection
) -> None:
    def mistaken(_: Session) -> None:
        raise RuntimeError("a mistake")

    def change(db: Session, notice: CommitNotice) -> None:
        put("mistaken")(db, notice)
        notice.write_last(1, mistaken)

    async with writing(postgres_url) as (writer, _):
        outcomes = await asyncio.gather(
            *(writer.urgent(work, "job") for work in (put("a"), change, put("b"))),
            return_exceptions=True,
        )

    assert [outcomes[0], outcomes[2]] == ["a", "b"]
    assert isinstance(outcomes[1], RuntimeError)
    assert committed_keys(other) == ["a", "b"]


async def test_a_lost_commit_is_unknown_to_its_batch_and_to_nobody_else(
    postgres_url: str, other: psycopg.Connection
) -> None:
    def cut(db: Session, notice: CommitNotice) -> None:
        notice.write_last(1, lambda _: end_sessions(other))

    async with writing(postgres_url) as (writer, _):
        outcomes = await asyncio.gather(
            writer.urgent(put("a"), "job 1"),
            writer.urgent(cut, "job 2"),
            return_exceptions=True,
        )

        assert list(map(type, outcomes)) == [OutcomeUnknown, OutcomeUnknown]
        assert await writer.urgent(put("b"), "job 1") == "b"


@pytest.mark.parametrize("rounds", [20])
async def test_processes_that_share_jobs_and_users_do_not_deadlock(
    postgres_url: str, other: psycopg.Connection, rounds: int
) -> None:
    """Each row stands for a job, or for a user's log. Each process enqueues them in another
    order."""
    tries: list[str] = []
    rows = [f"{kind} {n}" for kind in ("job", "log") for n in range(6)]
    for row in rows:
        other.execute("INSERT INTO meta (key, value) VALUES (%s, 'y')", (row,))

    def lock(row: str, db: Session) -> None:
        db.execute(f"UPDATE meta SET value = 'y' WHERE key = '{row}'")

    def change(n: int, db: Session, notice: CommitNotice) -> None:
        tries.append(f"job {n}")
        lock(f"job {n}", db)
        notice.write_last(n, partial(lock, f"log {n}"))

    async with writing(postgres_url) as (one, _), writing(postgres_url) as (another, _):
        for _ in range(rounds):
            numbers = range(6)
            await asyncio.gather(
                *(one.urgent(partial(change, n), f"job {n}") for n in numbers),
                *(another.urgent(partial(change, n), f"job {n}") for n in reversed(numbers)),
            )

    assert len(tries) == rounds * 12  # none was repeated
