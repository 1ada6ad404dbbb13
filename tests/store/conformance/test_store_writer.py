"""A writer on either backend: each unit of work is done as a whole or not at all."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from store.changes import CommitNotice
from store.errors import NotFound, StoreBusy, StoreUnavailable
from store.group_commit import GroupCommitWriter
from store.postgres.address import parse
from store.postgres.connection import connect
from store.postgres.pool import THREADS, Pool
from store.postgres.writer import PostgresWriter
from store.records.times import Lane
from store.sqlite.batches import BatchRunner, WriterThread
from store.sqlite.connection import connect_writer, prepare
from store.writer import BatchReport, Writer
from tests.store.works import block, committed_keys, fail, put
from tests.store.world import World

MOST = 1_000
"""Works that may wait."""


class Under(NamedTuple):
    """A writer under test."""

    writer: Writer
    reports: list[BatchReport]
    other: Any
    """Another connection to its database."""
    threads: int
    """Urgent works that it runs at the same time."""


@pytest.fixture(params=["sqlite", "postgres"])
async def under(request: pytest.FixtureRequest) -> AsyncIterator[Under]:
    reports: list[BatchReport] = []
    if request.param == "sqlite":
        path: Path = request.getfixturevalue("tmp_path") / "receiver.db"
        prepare(path)
        reach: Callable[[], Any] = partial(connect_writer, path)
        thread = WriterThread(BatchRunner(reach))
        with closing(reach()) as other:
            writer: Writer = GroupCommitWriter(thread.run, reports.append)
            yield Under(writer, reports, other, 1)
            await writer.close()
            await thread.close()
        return
    address = parse(request.getfixturevalue("postgres_url"))
    pool = Pool(address)
    pool.open()
    with closing(connect(address)) as other:
        writer = PostgresWriter(pool, reports.append)
        yield Under(writer, reports, other, THREADS)
        await writer.close()
        await asyncio.to_thread(pool.close)


async def test_a_unit_that_fails_fails_alone_and_as_a_whole(under: Under) -> None:
    notices: list[CommitNotice] = []
    under.writer.on_commit = notices.append
    error = NotFound("x")

    a = await under.writer.urgent(put("a"))
    outcomes = await asyncio.gather(
        *map(under.writer.urgent, [put("b"), fail(error, put("half")), put("a"), put("c")]),
        under.writer.normal(fail(error, put("half"))),
        return_exceptions=True,
    )

    assert [a, outcomes[0], outcomes[1], outcomes[3]] == ["a", "b", error, "c"]
    assert "unique" in str(outcomes[2]).lower()
    assert outcomes[4] is error
    assert committed_keys(under.other) == ["a", "b", "c"]
    assert set().union(*(notice.jobs for notice in notices)) == {"a", "b", "c"}


async def test_what_is_committed_is_announced_before_its_caller_goes_on(under: Under) -> None:
    announced: list[tuple[CommitNotice, list[str]]] = []
    order: list[str] = []

    def announce(notice: CommitNotice) -> None:
        announced.append((notice, committed_keys(under.other)))
        order.append("announced")

    def due(_: Any, notice: CommitNotice) -> None:
        notice.add_due(Lane.POLL, 7)
        notice.add_due(Lane.POLL, 9)

    under.writer.on_commit = announce
    await under.writer.urgent(put("a"))
    order.append("caller")
    await under.writer.normal(due)

    assert order == ["announced", "caller", "announced"]
    assert announced == [
        (CommitNotice(jobs={"a"}), ["a"]),
        (CommitNotice(due={Lane.POLL: 7}), ["a"]),
    ]


async def test_a_full_queue_refuses_at_once_and_the_other_has_room(under: Under) -> None:
    gates = [await block(under.writer) for _ in range(under.threads)]
    waiting = [under.writer.urgent(put(f"{number:04}")) for number in range(MOST)]

    fullness = [under.writer.full]
    with pytest.raises(StoreBusy):
        await under.writer.urgent(put("refused"))

    beside = under.writer.normal(put("beside"))
    waiting[0].cancel()  # type: ignore[attr-defined]  # they are futures
    for gate, _ in gates:
        gate.set()
    await asyncio.gather(*(blocked for _, blocked in gates), beside, *waiting[1:])
    fullness.append(under.writer.full)
    assert fullness == [True, False]
    # A caller that was cancelled has ended only its own waiting.
    assert committed_keys(under.other) == [*(f"{n:04}" for n in range(MOST)), "beside"]


async def test_closing_finishes_what_waits(under: Under) -> None:
    gates = [await block(under.writer) for _ in range(under.threads)]
    waiting = [under.writer.urgent(put(f"u{n}")) for n in range(60)]
    waiting += [under.writer.normal(put(f"n{n}")) for n in range(60)]
    closing_ = asyncio.ensure_future(under.writer.close())
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable):
        await under.writer.urgent(put("late"))
    for gate, _ in gates:
        gate.set()

    await asyncio.gather(*(blocked for _, blocked in gates), closing_, *waiting)
    assert len(committed_keys(under.other)) == 120


async def test_a_store_can_be_checked_and_kept_up(world: World) -> None:
    await world.store.check_writable()
    await world.store.check_writable()
    assert (await world.store.sizes())["database"] > 0
