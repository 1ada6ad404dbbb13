"""Three replicas on one database: faults among them and of the database, and an upgrade one by one,
under load, as docs/deploy.md says."""

import asyncio
import random
import re
from functools import partial
from pathlib import Path

import pytest

from receiver.config.settings import ServeSettings
from receiver.http_api.jobs import _LATER_MEMBERS
from receiver.simulator.faults import SimulatorRules
from tests.crash.judge import judge
from tests.crash.processes import ROOT
from tests.replicas.cluster import Cluster, running_cluster
from tests.replicas.faults import broken_under_load
from tests.replicas.older import older_sources
from tests.support.postgres_server import binaries

pytestmark = [
    pytest.mark.long,
    pytest.mark.alone,
    pytest.mark.timeout(400),
    pytest.mark.skipif(binaries() is None, reason="no PostgreSQL: see the test extra"),
]

RULES = SimulatorRules(
    render_seconds=1.5, drop_callbacks=0.05, duplicate_callbacks=0.2, fail_jobs=0.1
)


async def test_an_upgrade_one_by_one_loses_nothing_and_pays_nothing_twice(tmp_path: Path) -> None:
    older = older_sources(tmp_path)
    if older is None:
        pytest.skip("the history of the repository is not here")
    async with running_cluster(tmp_path, RULES, random.Random(7), sources=older) as cluster:
        migrations = await _migrations(cluster)
        async with cluster.world.under_load(8, partial(cluster.room, 60)):
            await cluster.upgrade()
        assert await _migrations(cluster) > migrations

        tally = await judge(cluster.world, added=_LATER_MEMBERS)

        assert tally.jobs > 100
        assert tally.unknown == 0
        logs = "".join(replica.log.read_text() for replica in cluster.replicas)
        assert not re.search("Undefined|cached plan|violates", logs), "a query met another schema"
        await _refuses_the_newer_schema(cluster, older)


async def _migrations(cluster: Cluster) -> int:
    """How many migrations the database has had."""
    query = "SELECT value FROM meta WHERE key = 'schema'"
    [(count,)] = await asyncio.to_thread(cluster.server.run, query)
    return int(count)


async def _refuses_the_newer_schema(cluster: Cluster, older: Path) -> None:
    """A restarted replica of the previous version exits and changes nothing."""
    replica = cluster.replicas[0]
    await replica.terminate()
    replica.sources = older
    replica.spawn()
    assert await replica.ended() == 1
    assert "newer" in replica.log.read_text().splitlines()[-1]
    replica.sources = ROOT
    await replica.start()


JOBS = 700
SLOTS = ServeSettings.model_fields["submit_concurrency"].default
"""The most jobs that a replica submits at once."""


async def test_whatever_breaks_among_three_replicas_nothing_is_lost_or_paid_twice(
    tmp_path: Path,
) -> None:
    seed = random.SystemRandom().getrandbits(32)
    print(f"\nseed {seed}")

    tally, faults = await broken_under_load(tmp_path, JOBS, seed)

    print(dict(faults))
    assert tally.jobs == JOBS
    databases = ("databases stopped (fast)", "databases stopped (immediate)")
    assert min(faults[kind] for kind in ("replicas killed", "replicas restarted", *databases)) >= 1
    assert tally.rounds >= 6
    assert tally.streams > 1
    # When a replica is killed, the outcome of each submission in progress is unknown until a
    # callback arrives.
    assert tally.unknown <= SLOTS * faults["replicas killed"]
