"""SIGKILL at moments that nobody has chosen, under load, with a provider at its worst."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from receiver.sandbox.rules import SandboxRules
from tests.crash.judge import judge
from tests.crash.world import World, world

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

ROUNDS = 50
CLIENTS = 3

WORST = SandboxRules(
    render_seconds=1.5,
    drop_callbacks=0.1,
    duplicate_callbacks=0.2,
    late_callbacks=0.1,
    reorder_callbacks=0.2,
    fail_jobs=0.2,
    submit_timeouts=0.03,
    server_errors_before=0.03,
    server_errors_after=0.03,
    busy_bursts=0.02,
)


async def test_fifty_kills_under_load_lose_nothing_and_pay_nothing_twice(tmp_path: Path) -> None:
    seed = random.SystemRandom().getrandbits(32)
    chance = random.Random(seed)
    print(f"\nseed {seed}")
    async with world(tmp_path, WORST) as around:
        async with under_load(around, chance):
            for number in range(ROUNDS):
                await asyncio.sleep(chance.uniform(0.05, 1.0))
                await around.service.kill()
                if number % 5 == 4:
                    # Once more while it starts: recovery has to survive its own death.
                    await around.service.spawn()
                    await asyncio.sleep(chance.uniform(0.1, 0.6))
                    await around.service.kill()
                assert await around.service.start() < 5

        tally = await judge(around, ROUNDS)

        # Enough was under way when it died, each time, to have lost something.
        assert tally.jobs > ROUNDS
        assert tally.callbacks > ROUNDS / 2
        assert tally.streams > ROUNDS


@contextlib.asynccontextmanager
async def under_load(around: World, chance: random.Random) -> AsyncIterator[None]:
    """Clients that submit job after job; at the end each waits for its last answer."""
    over = False

    async def client() -> None:
        while not over:
            await around.submit()
            await asyncio.sleep(chance.uniform(0.2, 1.2))

    clients = [asyncio.create_task(client()) for _ in range(CLIENTS)]
    try:
        yield
    finally:
        over = True
        await asyncio.gather(*clients)
