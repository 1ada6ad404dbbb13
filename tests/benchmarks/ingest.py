"""Callbacks taken by grouped commits, against one commit a callback, on both stores, in turns:
`python -m tests.benchmarks.ingest [ROUNDS] [SECONDS]`."""

import asyncio
import itertools
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from store import writer
from store.callbacks import Receipt
from store.database import Store
from store.open import open_store
from store.records.jobs import Job
from tests.benchmarks.table import Line, ratio, show
from tests.store.world import World
from tests.support.postgres_server import PostgresServer

CALLERS = 64
JOBS = 2_000


@contextmanager
def one_commit_each() -> Iterator[None]:
    """Let each batch have one member."""
    with (
        patch.object(writer, "MAX_URGENT", 1),
        patch.object(writer, "LONGEST_WAIT", math.inf),  # which counts batches
    ):
        yield


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


async def compare(name: str, store: Store, rounds: int, seconds: float) -> Line:
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
    await store.close()
    return Line(
        f"{name}: grouped commits / one a callback",
        ratio([a / b for a, b in zip(grouped, single, strict=True)]),
        ">= 2",
        f"{statistics.median(grouped):,.0f}/s / {statistics.median(single):,.0f}/s",
    )


def measure(rounds: int = 5, seconds: float = 2.0) -> list[Line]:
    return asyncio.run(_measure(rounds, seconds))


async def _measure(rounds: int, seconds: float) -> list[Line]:
    with tempfile.TemporaryDirectory() as folder, PostgresServer.running(**DURABLE) as server:
        sqlite = await open_store(f"sqlite:///{Path(folder) / 'bench.db'}", serving=True)
        postgres = await open_store(server.url())
        return [
            await compare("SQLite", sqlite, rounds, seconds),
            await compare("PostgreSQL", postgres, rounds, seconds),
        ]


DURABLE = {"fsync": "on", "full_page_writes": "on", "autovacuum": "on"}

if __name__ == "__main__":
    show(measure(*(int(argument) for argument in sys.argv[1:])))
