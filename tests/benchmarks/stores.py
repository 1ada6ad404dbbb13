"""The CPU that the store needs for a job's life, on SQLite and on PostgreSQL:
`python -m tests.benchmarks.stores`. It measures CPU rather than rates because CPU hardly changes
under other load.

A life is five writes: created, accepted, rendering, a callback, the outcome. The more
lives share a batch, the cheaper they are.
"""

import asyncio
import itertools
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

from store.open import open_store
from tests.benchmarks.costs import cpu_seconds
from tests.benchmarks.life_world import SAFE
from tests.benchmarks.table import Line, show
from tests.store.applying import applying
from tests.store.world import World, accepted, completed, rendering
from tests.support.postgres_server import PostgresServer

LOADS = ((1, 60), (8, 320), (64, 960))
"""Concurrent lives, and lives in all."""


async def life(world: World, number: int) -> None:
    job = await world.create()
    await world.advance(job, accepted(provider_request_id=job.id), rendering())
    await world.receive(job, b'{"number":%d}' % number, use=applying(progress=50.0))
    await world.advance(job, completed())


async def lives(worlds: Sequence[World], concurrency: int, in_all: int) -> None:
    numbers, turns = iter(range(in_all)), itertools.cycle(worlds)

    async def one_after_another(world: World) -> None:
        for number in numbers:
            await life(world, number)

    await asyncio.gather(*(one_after_another(next(turns)) for _ in range(concurrency)))


async def cost(url: str, stores: int, concurrency: int, in_all: int, server: list[int]) -> str:
    """CPU for each life, of this many stores on one database, including its server's processes."""
    async with AsyncExitStack() as stack:
        opened = []
        for _ in range(stores):
            opened.append(await open_store(url))
            stack.push_async_callback(opened[-1].close)
        world = await World.begin(opened[0])
        worlds = [replace(world, store=store) for store in opened]
        await lives(worlds, 8, 48)  # warm
        before, server_before = time.process_time(), cpu_seconds(server)
        await lives(worlds, concurrency, in_all)
        own = (time.process_time() - before) / in_all
        if not server:
            return f"{own * 1_000:.2f} ms"
        servers = (cpu_seconds(server) - server_before) / in_all
        return f"{own * 1_000:.2f} + {servers * 1_000:.2f} ms"


def measure() -> Iterator[Line]:
    with PostgresServer.running(**SAFE) as server, tempfile.TemporaryDirectory() as folder:
        process = int((server.folder / "data" / "postmaster.pid").read_text().split()[0])
        for concurrency, in_all in LOADS:
            sqlite = f"sqlite:///{folder}/{concurrency}.db"
            own = asyncio.run(cost(sqlite, 1, concurrency, in_all, []))
            postgres = [
                asyncio.run(cost(server.new_schema_url(), stores, concurrency, in_all, [process]))
                for stores in (1, 3)
            ]
            beside = (
                f"PostgreSQL, with the server's: one process {postgres[0]}, three {postgres[1]}"
            )
            yield Line(f"CPU of a life, {concurrency} at once: SQLite", own, "", beside)


if __name__ == "__main__":
    show(measure())
