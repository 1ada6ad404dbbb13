"""Statements that wait for another process's change."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import psycopg
import pytest

from store.idempotency import IdempotencyKey
from store.records.times import Lane
from tests.store.world import HOOK, NOW, SECOND, World, change, lease_due, new, rendering
from tests.support.service import eventually

LATER = NOW + 60 * SECOND


@pytest.mark.parametrize(
    ("table", "change_of_other", "call"),
    [
        (
            "due",
            f"SET holder = 'other', held_until = {LATER}",
            lambda world: lease_due(world.store, Lane.POLL, NOW + 9 * SECOND, LATER, "me", 9),
        ),
        (
            "deliveries",
            f"SET holder = 'other', held_until = {LATER} WHERE holder IS NOT NULL",
            lambda world: world.lease(at=NOW + 9 * SECOND),
        ),
        (
            "idempotency_keys",
            f"SET expires_at = {LATER}",
            lambda world: world.store.idempotency.remove_expired(NOW + 9 * SECOND, 9),
        ),
    ],
    ids=["due", "deliveries", "idempotency_keys"],
)
async def test_what_another_process_leased_or_used_meanwhile_stays(
    here: World,
    other: psycopg.Connection,
    table: str,
    change_of_other: str,
    call: Callable[[World], Awaitable[object]],
) -> None:
    """A lease does not end because an earlier one has, nor is its message skipped as overtaken."""
    job = here.job(webhook_url=HOOK)
    key = IdempotencyKey("/v1/jobs", "once", "same", NOW, NOW, NOW + SECOND)
    await here.store.jobs.create(new(job), key)
    await here.advance(job, rendering(relay=True))
    assert await here.lease("dead", until=NOW + SECOND)
    await here.advance(job, change(relay=True, progress=5.0))
    assert await lease_due(here.store, Lane.POLL, NOW + 5 * SECOND, NOW + 6 * SECOND, "dead", 9)
    with other.transaction():
        other.execute(f"UPDATE {table} {change_of_other}".encode())
        left = other.execute(f"SELECT * FROM {table} ORDER BY 1".encode()).fetchall()
        calling = asyncio.ensure_future(call(here))
        await eventually(partial(asyncio.to_thread, has_waiting, other), bool)

    assert not await calling
    assert other.execute(f"SELECT * FROM {table} ORDER BY 1".encode()).fetchall() == left


def has_waiting(other: psycopg.Connection) -> bool:
    """Whether a write waits for a lock."""
    return bool(other.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchall())
