"""Retention: small batches, and nothing is removed while the clock is not trusted."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from receiver.clock import SystemClock
from receiver.domain.schedule import DAY
from receiver.workers import janitor
from receiver.workers.janitor import BREATH_SECONDS, Janitor
from tests.store.world import NOW, World, completed
from tests.support.manual_clock import ManualClock
from tests.support.service import TIMEOUT, running_service

REMOVED_AT_ONCE = 2
JOBS = 5


class HeldClock(SystemClock):
    """Sleeps until the test sets `go_on`."""

    def __init__(self) -> None:
        self.asleep: asyncio.Queue[float] = asyncio.Queue()
        self.go_on = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.asleep.put_nowait(seconds)
        await self.go_on.wait()


async def test_between_two_batches_the_writer_serves_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(janitor, "REMOVED_AT_ONCE", REMOVED_AT_ONCE)
    clock = HeldClock()
    async with running_service(tmp_path, retention_days=36_500) as service:
        world = await World.begin(service.store)
        for _ in range(JOBS):
            await world.advance(await world.create(at=clock.now()), completed(NOW))
        keeper = Janitor(replace(service.inner.context.services, clock=clock), retention=0)

        sweep = asyncio.create_task(keeper.run_once())
        assert await asyncio.wait_for(clock.asleep.get(), TIMEOUT) == BREATH_SECONDS

        await asyncio.wait_for(service.store.check_writable(), TIMEOUT)
        assert await service.store.jobs.remove_finished(NOW + 1, JOBS) == JOBS - REMOVED_AT_ONCE
        clock.go_on.set()
        assert await sweep == REMOVED_AT_ONCE
        assert await keeper.run_once() == 0


async def test_a_clock_set_years_ahead_removes_nothing(tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    async with running_service(tmp_path, retention_days=36_500) as service:
        services = replace(service.inner.context.services, clock=clock)
        world = await World.begin(service.store)
        keeper = Janitor(services, retention=30 * DAY)
        old = await world.advance(await world.create(), completed(NOW - 31 * DAY))
        job = await world.advance(await world.create(), completed(NOW))
        assert await keeper.run_once() == 1
        assert await service.store.jobs.find(old.id) is None

        clock.wall_start += 3_650 * DAY
        for _ in range(3 * 60):
            clock.advance(60)
            assert await keeper.run_once() == 0
        paused = "receiver_retention_paused"
        assert services.metrics.registry.get_sample_value(paused) == 1
        assert await service.store.jobs.find(job.id) == job

        clock.wall_start -= 3_650 * DAY
        assert await keeper.run_once() == 0
        assert services.metrics.registry.get_sample_value(paused) == 0
        clock.advance(30 * DAY / 1_000)
        assert await keeper.run_once() == 1


async def test_a_start_long_after_the_newest_job_removes_after_an_hour(tmp_path: Path) -> None:
    """Either the service was off for forty days, or its clock is wrong."""
    clock = ManualClock(NOW)
    async with running_service(tmp_path, retention_days=36_500) as service:
        world = await World.begin(service.store)
        await world.advance(await world.create(), completed(NOW))
        clock.wall_start += 40 * DAY
        keeper = Janitor(replace(service.inner.context.services, clock=clock), retention=30 * DAY)
        assert await keeper.run_once() == 0
        clock.advance(3_600)
        assert await keeper.run_once() == 1
