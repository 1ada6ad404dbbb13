"""Retention: it works in small batches, and removes nothing while the clock is not trusted."""

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from receiver.domain.schedule import DAY
from receiver.engine import janitor
from receiver.engine.janitor import PAUSE_SECONDS, Janitor
from tests.engine.harness import Harness
from tests.store.world import NOW, completed
from tests.support.manual_clock import ManualClock

BATCH = 2
JOBS = 5
TIMEOUT = 10.0


class HeldClock(ManualClock):
    """Sleeps until the test sets `go_on`."""

    def __init__(self) -> None:
        super().__init__(NOW)
        self.asleep: asyncio.Queue[float] = asyncio.Queue()
        self.go_on = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.asleep.put_nowait(seconds)
        await self.go_on.wait()


async def test_between_two_batches_the_writer_serves_others(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(janitor, "REMOVED_PER_BATCH", BATCH)
    clock = HeldClock()
    for _ in range(JOBS):
        await harness.world.advance(await harness.world.create(), completed(NOW - 1))
    keeper = Janitor(replace(harness.services, clock=clock), retention=0)

    sweep = asyncio.create_task(keeper.run_once())
    assert await asyncio.wait_for(clock.asleep.get(), TIMEOUT) == PAUSE_SECONDS

    await asyncio.wait_for(harness.store.check_writable(), TIMEOUT)
    assert (await harness.store.retention.remove(NOW, JOBS)).jobs == JOBS - BATCH
    clock.go_on.set()
    assert await sweep == BATCH
    assert await keeper.run_once() == 0


async def test_the_store_is_measured_also_during_a_long_sweep(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(janitor, "REMOVED_PER_BATCH", 1)
    keeper, world = Janitor(harness.services, retention=0), harness.world
    for _ in range(JOBS):
        await world.advance(await world.create(), completed(NOW - 1))
    queued = partial(
        harness.services.metrics.registry.get_sample_value, "receiver_jobs", {"phase": "queued"}
    )
    assert await keeper.run_once() == 1
    await world.create()
    assert await keeper.run_once() == 1
    assert queued() == 0

    harness.clock.advance(30)
    assert await keeper.run_once() == 1
    assert queued() == 1


async def test_a_clock_set_years_ahead_removes_nothing(harness: Harness) -> None:
    clock, world = harness.clock, harness.world
    keeper = Janitor(harness.services, retention=30 * DAY)
    old = await world.advance(await world.create(), completed(NOW - 31 * DAY))
    job = await world.advance(await world.create(), completed(NOW))
    assert await keeper.run_once() == 1
    assert await harness.store.jobs.find(old.id) is None

    clock.wall_start += 3_650 * DAY
    for _ in range(3 * 60):
        clock.advance(60)
        assert await keeper.run_once() == 0
    sample, paused = harness.services.metrics.registry.get_sample_value, "receiver_retention_paused"
    assert sample(paused) == 1
    assert await harness.find(job) == job

    clock.wall_start -= 3_650 * DAY
    assert await keeper.run_once() == 0
    assert sample(paused) == 0
    clock.advance(30 * DAY / 1_000)
    assert await keeper.run_once() == 1


async def test_a_start_long_after_the_newest_job_removes_after_an_hour(harness: Harness) -> None:
    """Either the service was off for forty days, or its clock is wrong."""
    await harness.world.advance(await harness.world.create(), completed(NOW))
    harness.clock.wall_start += 40 * DAY
    keeper = Janitor(harness.services, retention=30 * DAY)
    assert await keeper.run_once() == 0
    harness.clock.advance(3_600)
    assert await keeper.run_once() == 1
