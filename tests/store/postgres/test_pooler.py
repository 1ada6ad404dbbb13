"""Behind a transaction pooler: each transaction may use another session of the server."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.store.world import World, change
from tests.support.pooler import Pooler, is_installed
from tests.support.postgres_server import PostgresServer
from tests.support.service import eventually

pytestmark = pytest.mark.skipif(not is_installed(), reason="pgbouncer is not installed here")


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of a database behind a pooler."""
    with Pooler.running(postgres_server, 3) as pooler:
        postgres_server.run("CREATE DATABASE pooled")
        yield pooler.url("pooled")


async def test_writes_reads_and_notifications_work(here: World, there: World) -> None:
    await eventually(there.store.changed_elsewhere, bool)
    jobs = [await here.create() for _ in range(10)]

    # Often enough for statements to be prepared, if that is possible.
    for _ in range(8):
        await asyncio.gather(*(here.store.jobs.advance(job.id, change()) for job in jobs))
        await asyncio.gather(*(there.store.jobs.advance(job.id, change()) for job in jobs))
        await asyncio.gather(*(there.store.jobs.find(job.id) for job in jobs))

    assert (await there.store.events.latest(here.ann.id)).seq == 10 + 10 * 16

    async def notified() -> bool:
        # A process that does not listen yet misses a notification, so send more until it does.
        await asyncio.gather(*(here.store.jobs.advance(job.id, change()) for job in jobs))
        return {job.id for job in jobs} <= {j for c in there.notified for j in c.jobs}

    await eventually(notified, bool)
