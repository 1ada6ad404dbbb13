"""A store whose server fails, hangs or comes back."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial

import psycopg
import pytest

from store.callbacks import Receipt
from store.errors import StoreUnavailable
from store.postgres import pool, receive_timeout
from store.postgres.failures import to_store_error
from store.records.jobs import Job
from tests.store.world import World, change, opened
from tests.support.postgres_server import PostgresServer
from tests.support.service import eventually


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    with PostgresServer.running() as server:
        yield server


@pytest.fixture
async def world(own_server: PostgresServer) -> AsyncIterator[World]:
    async with opened(own_server.url()) as store:
        yield await World.begin(store)


@pytest.fixture
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call without a server waits for this long, in pools that are opened from now on."""
    monkeypatch.setattr(pool, "ACQUIRE_TIMEOUT", 0.3)


@pytest.mark.usefixtures("short_wait")
@pytest.mark.parametrize("how", ["fast", "immediate"])
async def test_a_stopped_server_is_unavailable_until_it_is_back(
    own_server: PostgresServer, world: World, how: str
) -> None:
    job = await world.create()
    await asyncio.to_thread(own_server.stop, how)

    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await world.receive(job)
        with pytest.raises(StoreUnavailable):
            await world.store.jobs.find(job.id)
        with pytest.raises(StoreUnavailable):
            await world.store.check_writable()

    await asyncio.to_thread(own_server.start)
    await eventually(partial(works, world, job), bool)
    # Notifications may have been missed meanwhile, so everybody has to check.
    await eventually(world.store.changed_elsewhere, bool)


async def test_a_server_restart_fails_no_later_call(
    own_server: PostgresServer, world: World
) -> None:
    job = await world.create()
    await asyncio.to_thread(own_server.stop)
    await asyncio.to_thread(own_server.start)

    assert await world.store.jobs.find(job.id) is not None
    assert await world.receive(job) == Receipt.ACCEPTED
    assert (await world.store.jobs.advance(job.id, change()))[0].seq == 2


async def test_a_server_that_hangs_is_unavailable_until_it_goes_on(
    own_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two seconds is the shortest timeout that PostgreSQL's client accepts.
    async with opened(f"{own_server.url()}?connect_timeout=2") as store:
        world = await World.begin(store)
        job = await world.create()
        monkeypatch.setattr(receive_timeout, "RECEIVE_TIMEOUT", 0.3)

        with own_server.hanging():
            for _ in range(2):
                async with asyncio.timeout(4):  # it waits once for the server, or for a connection
                    with pytest.raises(StoreUnavailable):
                        await world.receive(job)

        await eventually(partial(works, world, job), bool)


def test_the_reason_of_a_lost_connection_is_what_happened() -> None:
    error = psycopg.OperationalError(
        "server closed the connection unexpectedly\n"
        "\tThis probably means the server terminated abnormally\n"
        "\tbefore or while processing the request."
    )

    assert str(to_store_error(error)) == "server closed the connection unexpectedly"


async def works(world: World, job: Job) -> bool:
    """Whether a callback can be stored, and its job read."""
    try:
        await world.receive(job)
        return await world.find(job) == job
    except StoreUnavailable:
        return False
