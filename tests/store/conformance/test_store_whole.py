"""`Store`: promises of the store as a whole."""

import asyncio
from functools import partial

import pytest

from store.changes import CommitNotice
from store.records.jobs import Job
from tests.store.world import World, change, new
from tests.support.service import eventually


async def test_a_cancelled_caller_cancels_no_write(world: World) -> None:
    job = await world.create()
    task = asyncio.create_task(world.store.jobs.advance(job.id, change()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await world.store.jobs.advance(job.id, change())
    found = await eventually(partial(world.find, job), lambda job: job.seq == 3)

    assert (await world.store.events.latest(found.user_id)).seq == 3


async def test_on_change_is_called_after_the_commit_and_before_the_caller_continues(
    world: World,
) -> None:
    job = world.job()
    order: list[str] = []
    reads: list[asyncio.Task[Job | None]] = []

    def notify(changes: CommitNotice) -> None:
        if changes.jobs:
            order.append("notified")
            reads.append(asyncio.create_task(world.store.jobs.find(job.id)))

    world.store.on_commit = notify
    await world.store.jobs.create(new(job))
    order.append("caller")

    assert order == ["notified", "caller"]
    assert await reads[0] == job


async def test_check_writable_and_upkeep(world: World) -> None:
    await world.store.check_writable()
    await world.store.check_writable()
    assert (await world.store.upkeep())["database"] > 0
