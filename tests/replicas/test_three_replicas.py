"""Three replicas on one database: faults among them, and restarts of the database."""

import asyncio
import random
from pathlib import Path

import pytest

from tests.crash.judge import judge
from tests.replicas.cluster import running_cluster
from tests.replicas.faults import RULES, broken_under_load
from tests.support.postgres_server import binaries

pytestmark = [
    pytest.mark.long,
    pytest.mark.alone,
    pytest.mark.timeout(400),
    pytest.mark.skipif(binaries() is None, reason="no PostgreSQL: see the test extra"),
]

JOBS = 700


async def test_whatever_breaks_among_three_replicas_nothing_is_lost_or_paid_twice(
    tmp_path: Path,
) -> None:
    seed = random.SystemRandom().getrandbits(32)
    print(f"\nseed {seed}")

    tally, faults = await broken_under_load(tmp_path, JOBS, seed)

    print(dict(faults))
    assert tally.jobs == JOBS
    assert min(faults[kind] for kind in ("replicas killed", "replicas restarted")) >= 1
    assert tally.rounds >= 6
    assert tally.streams > tally.rounds
    # Jobs that a replica was submitting when it died, and that never got a callback.
    assert tally.unknown < JOBS / 20


async def test_the_database_restarts_in_the_middle(tmp_path: Path) -> None:
    async with running_cluster(tmp_path, RULES, random.Random(5)) as cluster:
        async with cluster.submitting(range(300)):
            for how in ("fast", "immediate"):
                await asyncio.sleep(2)
                await asyncio.to_thread(cluster.server.stop, how)
                answer = await cluster.world.post(cluster.world.order())
                while answer.status_code != 503:
                    answer = await cluster.world.client.get("/readyz")
                assert "Retry-After" in answer.headers
                assert (await cluster.world.client.get("/livez")).status_code == 200
                await asyncio.sleep(2)
                await asyncio.to_thread(cluster.server.start)
        for order in list(cluster.world.orders.values()):
            await cluster.world.submit(order)

        tally = await judge(cluster.world, 2)

        assert tally.jobs == 302
