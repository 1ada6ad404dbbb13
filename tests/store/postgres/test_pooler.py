"""Behind a transaction pooler: each transaction may get another session of the server."""

import asyncio
import contextlib
import os
import pwd
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from store.contract import Changes
from tests.postgres_server import PostgresServer, free_port
from tests.store.postgres.conftest import eventually, opened
from tests.store.world import World, change

pytestmark = pytest.mark.skipif(
    shutil.which("pgbouncer") is None, reason="pgbouncer is not installed here"
)

SETTINGS = """
[databases]
* = host=127.0.0.1 port={server} user=receiver
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
server_reset_query_always = 1
max_prepared_statements = 0
logfile = {folder}/pgbouncer.log
"""


@pytest.fixture
def pooler(postgres_server: PostgresServer, tmp_path: Path) -> Iterator[str]:
    """The address of a database behind a pooler, with the server's own to listen at."""
    port = free_port()
    settings = postgres_server.folder / f"pgbouncer-{port}.ini"
    settings.write_text(
        SETTINGS.format(server=postgres_server.port, port=port, folder=postgres_server.folder)
    )
    as_user = ["-u", pwd.getpwuid(postgres_server.folder.stat().st_uid).pw_name]
    process = subprocess.Popen(
        ["pgbouncer", "-q", *(as_user if os.geteuid() == 0 else []), str(settings)],
        cwd="/",
        stderr=subprocess.DEVNULL,
    )
    database = postgres_server.new_database()
    address = f"postgresql://receiver@127.0.0.1:{port}/{database}"
    for _ in range(500):
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(address):
            break
        process.poll()
    yield f"{address}?listen=127.0.0.1:{postgres_server.port}"
    process.terminate()
    process.wait(10)


@pytest.fixture
async def worlds(pooler: str) -> AsyncIterator[tuple[World, World]]:
    """Two processes' stores behind it."""
    one, two = await opened(pooler), await opened(pooler)
    here = await World.begin(one)
    rung: list[Changes] = []
    two.on_change = rung.append
    yield here, World(two, here.ann, here.bob, here.ids, rung)
    await one.close()
    await two.close()


async def test_it_works_and_hears(worlds: tuple[World, World]) -> None:
    here, there = worlds
    await eventually(there.store.changed_elsewhere)
    jobs = [await here.create() for _ in range(10)]

    # Often enough that statements would be prepared where they can be.
    for _ in range(8):
        await asyncio.gather(*(here.store.jobs.advance(job.id, change()) for job in jobs))
        await asyncio.gather(*(there.store.jobs.advance(job.id, change()) for job in jobs))
        await asyncio.gather(*(there.store.jobs.find(job.id) for job in jobs))

    assert await there.store.events.latest_seq(here.ann.id) == 10 + 10 * 16

    async def heard() -> bool:
        # Who does not listen yet misses a ring, and nobody can tell when they do: ring again.
        await asyncio.gather(*(here.store.jobs.advance(job.id, change()) for job in jobs))
        return {job.id for job in jobs} <= {j for c in there.rung for j in c.jobs}

    await eventually(heard)
