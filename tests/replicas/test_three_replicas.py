"""Three replicas, killed at random among them; and their database restarted under them."""

import asyncio
import random
from pathlib import Path

import pytest

from receiver.sandbox.rules import SandboxRules
from tests.crash.judge import judge
from tests.postgres_server import binaries
from tests.replicas.cluster import Cluster, cluster

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(300),
    pytest.mark.skipif(binaries() is None, reason="no PostgreSQL: see the test extra"),
]

JOBS = 1_000
CLIENTS = 40
RULES = SandboxRules(
    render_seconds=1.5,
    drop_callbacks=0.05,
    duplicate_callbacks=0.2,
    fail_jobs=0.1,
    submit_timeouts=0.005,
)


async def test_kills_among_three_replicas_lose_nothing_and_pay_nothing_twice(
    tmp_path: Path,
) -> None:
    seed = random.SystemRandom().getrandbits(32)
    print(f"\nseed {seed}")
    chance = random.Random(seed)
    async with cluster(tmp_path, RULES, chance) as around:
        submitting = asyncio.create_task(submit(around, JOBS))
        kills = 0
        while not submitting.done():
            await asyncio.sleep(chance.uniform(0.5, 2.0))
            victim = chance.choice(around.replicas)
            await victim.kill()
            kills += 1
            await asyncio.sleep(chance.uniform(0.1, 1.5))
            await victim.start()
        await submitting

        tally = await judge(around.world, kills)

        assert tally.jobs == JOBS
        assert kills >= 5
        assert tally.streams > kills
        # What was being submitted by a replica as it died, and was never told of.
        assert tally.unknown < JOBS / 20
        assert len(around.balancer.given) == len(around.replicas)


async def test_the_database_restarts_in_the_middle(tmp_path: Path) -> None:
    chance = random.Random(5)
    async with cluster(tmp_path, RULES, chance) as around:
        submitting = asyncio.create_task(submit(around, 300))
        for how in ("fast", "immediate"):
            await asyncio.sleep(2)
            await asyncio.to_thread(around.server.stop, how)
            answer = await around.world.post(around.world.order())
            while answer.status_code != 503:
                answer = await around.world.client.get("/readyz")
            assert "Retry-After" in answer.headers
            assert (await around.world.client.get("/livez")).status_code == 200
            await asyncio.sleep(2)
            await asyncio.to_thread(around.server.start)
        await submitting
        for order in list(around.world.orders.values()):
            await around.world.submit(order)

        tally = await judge(around.world, 2)

        assert tally.jobs == 302


async def submit(around: Cluster, jobs: int) -> None:
    """Have so many jobs made, by a number of clients at once."""
    left = iter(range(jobs))

    async def client() -> None:
        for _ in left:
            await around.world.submit()

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
