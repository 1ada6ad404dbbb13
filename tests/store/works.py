"""Units of work for tests of writers: they write keys into the table `meta`, or wait."""

import asyncio
from threading import Event
from typing import Any

from store.changes import CommitNotice
from store.group_commit import Member
from store.session import Session
from store.sqlite.batches import BatchRunner
from store.writer import Work, Writer


def put(key: str) -> Work[str]:
    def work(db: Session, notice: CommitNotice) -> str:
        db.execute(f"INSERT INTO meta (key, value) VALUES ('{key}', 'x')")
        notice.jobs.add(key)
        return key

    return work


def fail(error: Exception, *first: Work[object]) -> Work[None]:
    """Fail after the works `first`."""

    def work(db: Session, notice: CommitNotice) -> None:
        for each in first:
            each(db, notice)
        raise error

    return work


async def block(writer: Writer) -> tuple[Event, asyncio.Future[None]]:
    """Block the writer now (on PostgreSQL, one of its threads) until the event is set. Also returns
    the future of the work that blocks it."""
    entered, opened = Event(), Event()

    def work(_db: Session, _notice: CommitNotice) -> None:
        entered.set()
        opened.wait(10)

    blocked = asyncio.ensure_future(writer.urgent(work))
    await asyncio.to_thread(entered.wait, 10)
    return opened, blocked


def run(runner: BatchRunner, *works: Work[object]) -> list[object]:
    """The value or error of each work of one batch."""
    members = [Member(work) for work in works]
    runner.run(members)
    return [member.error or member.value for member in members]


def committed_keys(connection: Any) -> list[str]:
    """The keys that another connection sees."""
    rows = connection.execute("SELECT key FROM meta WHERE value = 'x' ORDER BY key").fetchall()
    return [key for (key,) in rows]
