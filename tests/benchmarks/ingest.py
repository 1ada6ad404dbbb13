"""Callbacks taken by grouped commits, against one commit a callback, on both stores, in turns:
`python -m tests.benchmarks.ingest [ROUNDS] [SECONDS]`."""

import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from store.contract import Receipt, Store
from store.open import open_store
from store.records import Job
from store.relational import writer
from tests.postgres_server import PostgresServer
from tests.store.world import World

CALLERS = 64
JOBS = 2_000


@contextmanager
def one_commit_each() -> Iterator[None]:
    """Let each batch have one member."""
    places = writer.URGENT_PLACES
    writer.URGENT_PLACES = 1
    try:
        yield
    finally:
        writer.URGENT_PLACES = places


async def rate(world: World, jobs: list[Job], numbers: Iterator[int], seconds: float) -> float:
    """Callbacks that were on disk in a second."""
    taken = 0
    until = time.perf_counter() + seconds

    async def caller() -> None:
        nonlocal taken
        while time.perf_counter() < until:
            number = next(numbers)
            receipt = await world.receive(jobs[number % len(jobs)], b'{"progress":%d}' % number)
            assert receipt in (Receipt.ACCEPTED, Receipt.DUPLICATE), receipt
            taken += receipt == Receipt.ACCEPTED

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return taken / (time.perf_counter() - began)


async def compare(name: str, store: Store, rounds: int, seconds: float) -> None:
    world = await World.begin(store)
    jobs = [await world.create() for _ in range(JOBS)]
    numbers = itertools.count()
    grouped, single = [], []
    for index in range(rounds + 1):
        with one_commit_each():
            alone = await rate(world, jobs, numbers, seconds)
        together = await rate(world, jobs, numbers, seconds)
        if index:  # the first round warms up
            single.append(alone)
            grouped.append(together)
    ratios = [a / b for a, b in zip(grouped, single, strict=True)]
    print(
        f"{name:10} grouped {statistics.median(grouped):7.0f}/s"
        f"   one by one {statistics.median(single):7.0f}/s"
        f"   ratio {statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
    )
    await store.close()


async def main(rounds: int = 5, seconds: float = 2.0) -> None:
    with tempfile.TemporaryDirectory() as folder, PostgresServer.running(**DURABLE) as server:
        sqlite = await open_store(f"sqlite:///{Path(folder) / 'bench.db'}", serving=True)
        await compare("SQLite", sqlite, rounds, seconds)
        await compare("PostgreSQL", await open_store(server.url()), rounds, seconds)


DURABLE = {"fsync": "on", "full_page_writes": "on", "autovacuum": "on"}

if __name__ == "__main__":
    asyncio.run(main(*(int(argument) for argument in sys.argv[1:])))
