"""Statements that wait for another process's change, and one that some plans would run again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import psycopg

from store.idempotency import IdempotencyKey
from store.postgres.address import parse
from store.postgres.connection import connect
from store.records.deliveries import DeliveryState
from store.records.times import Due, Lane
from tests.store.postgres.conftest import lease_submissions, opened
from tests.store.world import HOOK, NOW, SECOND, World, change, new, rendering
from tests.support.postgres_server import PostgresServer
from tests.support.service import eventually

LOCK_WAITS = "SELECT 1 FROM pg_locks WHERE NOT granted"


async def test_no_more_than_the_limit_is_leased_whatever_the_plan(
    postgres_server: PostgresServer,
) -> None:
    url = postgres_server.new_schema_url()
    store = await opened(url)
    world = await World.begin(store)
    first = await world.create(due=Due(Lane.SUBMIT, NOW - 21))
    # The planner now believes that the table has one row.
    with connect(parse(url)) as session:
        session.execute("VACUUM ANALYZE due")
    for n in range(20):
        await world.create(due=Due(Lane.SUBMIT, NOW - 20 + n))

    assert await lease_submissions(world, 1) == [first]
    await store.close()


async def waited_for(other: psycopg.Connection) -> None:
    """Return once a write waits for a lock."""
    look = partial(asyncio.to_thread, lambda: other.execute(LOCK_WAITS).fetchone())
    await eventually(look, bool)


@asynccontextmanager
async def open_until_waited_for(other: psycopg.Connection) -> AsyncIterator[None]:
    """Another process's transaction, which begins in the block, and is committed once a write that
    begins in it waits for a lock."""
    with other.transaction():
        yield
        await waited_for(other)


async def test_the_end_of_a_lease_does_not_end_the_one_that_replaces_it(
    here: World, other: psycopg.Connection
) -> None:
    job = await here.create()
    other.execute("UPDATE due SET holder = 'dead', held_until = %s", (NOW - SECOND,))
    async with open_until_waited_for(other):
        other.execute("UPDATE due SET holder = NULL, held_until = NULL")
        other.execute("UPDATE due SET holder = 'other', held_until = %s", (NOW + SECOND,))
        leasing = asyncio.ensure_future(lease_submissions(here, 9))

    assert await leasing == []
    assert other.execute("SELECT job_id, holder FROM due").fetchall() == [(job.id, "other")]


async def test_a_key_that_is_used_again_while_it_is_removed_stays(
    here: World, other: psycopg.Connection
) -> None:
    given = IdempotencyKey("/v1/jobs", "once", "same", NOW, NOW, NOW + SECOND)
    job = here.job()
    await here.store.jobs.create(new(job), given)
    async with open_until_waited_for(other):
        other.execute("UPDATE idempotency_keys SET expires_at = %s", (NOW + 60 * SECOND,))
        removing = asyncio.ensure_future(here.store.idempotency.remove_expired(NOW + 2 * SECOND, 9))

    assert await removing == 0
    replay = await here.store.idempotency.find(here.ann.id, given)
    assert replay is not None
    assert replay.job_id == job.id


async def test_a_message_that_is_leased_again_is_not_skipped(
    here: World, other: psycopg.Connection
) -> None:
    job = await here.create(webhook_url=HOOK, webhook_events=("IN_PROGRESS",))
    await here.advance(job, rendering(relay=True))
    (old,) = await here.lease("dead", until=NOW + SECOND)
    await here.advance(job, change(relay=True, progress=5.0))
    async with open_until_waited_for(other):
        other.execute(
            "UPDATE deliveries SET holder = 'other', held_until = %s WHERE id = %s",
            (NOW + 60 * SECOND, old.id),
        )
        leasing = asyncio.ensure_future(here.lease(at=NOW + 2 * SECOND))

    assert await leasing == []
    states = await here.deliveries(job)
    assert set(states.values()) == {DeliveryState.PENDING}
