"""`Store`: what it promises as a whole."""

import asyncio

import pytest

from store.contract import Changes, Receipt
from store.database import Store
from store.errors import NotFound
from store.records import Job, Move
from tests.store.conftest import OpenAgain
from tests.store.world import (
    World,
    change,
    new,
    rendering,
    waiting,
)


async def test_what_was_written_is_there_after_reopening(open_again: OpenAgain) -> None:
    store = await open_again()
    world = await World.begin(store)
    job = await world.create()
    await world.receive(job)
    await store.close()

    again = await open_again()
    found = await again.jobs.find(job.id)
    assert found is not None
    assert found.callbacks_waiting
    assert await again.keys.user_named("ann") == world.ann
    await again.close()


def stumble(_: Job) -> Move:
    raise ZeroDivisionError


async def test_a_failing_write_beside_good_ones_fails_alone(world: World) -> None:
    job = await world.create()
    unknown = world.job()

    outcomes = await asyncio.gather(
        world.receive(job, b'{"n":1}'),
        world.receive(unknown, b'{"n":2}'),
        world.store.jobs.advance(job.id, stumble),
        world.receive(job, b'{"n":3}'),
        world.store.jobs.advance(job.id, rendering()),
        return_exceptions=True,
    )

    assert outcomes[0] == outcomes[3] == Receipt.ACCEPTED
    assert isinstance(outcomes[1], NotFound)
    assert isinstance(outcomes[2], ZeroDivisionError)
    assert len(await waiting(world.store)) == 2
    found = await world.find(job)
    assert found.seq == 2


async def test_a_cancelled_caller_cancels_no_write(world: World) -> None:
    job = await world.create()
    task = asyncio.create_task(world.store.jobs.advance(job.id, change()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    later, _ = await world.store.jobs.advance(job.id, change())

    assert later.seq == 3
    assert await world.store.events.latest_seq(job.user_id) == 3


async def test_the_bell_rings_after_the_commit_and_before_the_caller_goes_on(
    world: World,
) -> None:
    job = world.job()
    order: list[str] = []
    reads: list[asyncio.Task[Job | None]] = []

    def notify(changes: Changes) -> None:
        if changes.jobs:
            order.append("notified")
            reads.append(asyncio.create_task(world.store.jobs.find(job.id)))

    world.store.on_change = notify
    await world.store.jobs.create(new(job))
    order.append("caller")

    assert order == ["notified", "caller"]
    assert await reads[0] == job


async def test_a_writable_store_says_so(store: Store) -> None:
    await store.check_writable()
    await store.check_writable()


async def test_upkeep_tells_sizes(world: World) -> None:
    assert (await world.store.upkeep())["database"] > 0
