"""Retention: a few jobs at a time, and between them whoever waits is served."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from receiver.clock import SystemClock
from receiver.workers import janitor
from receiver.workers.janitor import BREATH_SECONDS, Janitor
from tests.service import PATIENCE, running_service
from tests.store.world import NOW, World, completed

BATCH = 2
JOBS = 5


class HeldClock(SystemClock):
    """Lets a part sleep until it is told to go on."""

    def __init__(self) -> None:
        self.asleep: asyncio.Queue[float] = asyncio.Queue()
        self.go_on = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.asleep.put_nowait(seconds)
        await self.go_on.wait()


async def test_between_two_batches_the_writer_serves_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(janitor, "BATCH", BATCH)
    clock = HeldClock()
    async with running_service(tmp_path, retention_days=36_500) as service:
        world = await World.begin(service.store)
        for _ in range(JOBS):
            await world.advance(await world.create(), completed(NOW))
        keeper = Janitor(replace(service.inner.parts.core, clock=clock), retention=0)

        sweep = asyncio.create_task(keeper.run_once())
        assert await asyncio.wait_for(clock.asleep.get(), PATIENCE) == BREATH_SECONDS

        await asyncio.wait_for(service.store.check_writable(), PATIENCE)
        assert await service.store.jobs.remove_finished(NOW + 1, JOBS) == JOBS - BATCH
        clock.go_on.set()
        assert await sweep == BATCH
        assert await keeper.run_once() == 0
