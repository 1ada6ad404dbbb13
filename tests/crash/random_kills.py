"""Rounds of SIGKILL at random moments, under load, with a provider at its worst."""

import asyncio
import random
from collections import Counter
from pathlib import Path

from receiver.simulator.faults import SimulatorRules
from tests.crash.judge import Tally, judge
from tests.crash.world import running_world

CLIENTS = 3
TWICE_EVERY = 5
"""In one of this many rounds, the service is killed again while it starts."""

WORST = SimulatorRules(
    render_seconds=1.5,
    drop_callbacks=0.1,
    duplicate_callbacks=0.2,
    fail_jobs=0.2,
    submit_timeouts=0.03,
    server_errors=0.03,
    busy=0.06,
)


async def killed_under_load(folder: Path, rounds: int, seed: int) -> tuple[Tally, Counter[str]]:
    """Kill a service this many times under load; returns the totals, and the number of faults by
    kind. Raises AssertionError if anything was lost or doubled."""
    rng = random.Random(seed)
    faults = Counter[str]()
    async with running_world(folder, WORST) as world:
        async with world.under_load(CLIENTS, lambda: asyncio.sleep(rng.uniform(0.2, 1.2))):
            for number in range(rounds):
                await asyncio.sleep(rng.uniform(0.05, 1.0))
                await world.service.kill()
                faults["kills"] += 1
                if number % TWICE_EVERY == TWICE_EVERY - 1:
                    # Kill it while it starts: recovery has to survive that.
                    world.service.spawn()
                    await asyncio.sleep(rng.uniform(0.02, 0.6))
                    await world.service.kill()
                    faults["kills at the start"] += 1
                assert await world.service.start() < 5
        tally = await judge(world, rounds)
        callbacks = await world.provider.sent_callbacks()
    faults["callbacks lost"] = callbacks["dropped"]
    faults["callbacks twice"] = callbacks["duplicated"]
    return tally, faults
