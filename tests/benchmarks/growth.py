"""Whether the store's calls stay as fast with many jobs: each on a small and a large database, in
turns: `python -m tests.benchmarks.growth [LARGE]`."""

import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from typing import TypeAlias

from store.database import Store
from store.job_reads import JobFilter
from store.open import open_store
from store.records.times import Lane, Millis
from tests.benchmarks.table import Line, show
from tests.benchmarks.world import fill
from tests.store.world import incoming_callback, lease_due, unchanged

SMALL, LARGE = 1_000, 20_000
"""Jobs, all of one user."""
FAR: Millis = 4_000_000_000_000
"""All jobs are overdue at this time."""

Call: TypeAlias = Callable[[], Awaitable[object]]


def calls(store: Store, job_ids: Iterable[str]) -> dict[str, Call]:
    """What is measured, by name."""
    numbers, turn = itertools.count(), itertools.cycle(job_ids)

    def look(now: Millis) -> Awaitable[object]:
        # The leases have ended at the next look.
        return lease_due(store, Lane.POLL, now, now + 1, "me", 9)

    def receive() -> Awaitable[object]:
        body = b'{"n":%d}' % next(numbers)
        return store.callbacks.receive(incoming_callback(next(turn), body, at=FAR), unchanged)

    return {
        "a look, nothing due": lambda: look(0),
        "a look, all overdue": lambda: look(FAR + next(numbers)),
        "acknowledge a callback": receive,
        "list, 50 jobs": lambda: store.jobs.list_page(1, JobFilter(), None, 50),
        "status": lambda: store.jobs.find(next(turn)),
    }


async def measure(large: int = LARGE) -> list[Line]:
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            both: list[dict[str, Call]] = []
            for jobs in (SMALL, large):
                url = f"sqlite:///{folder}/{jobs}.db"
                (account,) = await fill(url, 1, jobs=jobs)
                store = await open_store(url)
                stack.push_async_callback(store.close)
                both.append(calls(store, account.jobs))
            small, large_ = both
            return [await compare(name, small[name], large_[name]) for name in small]


async def compare(name: str, small: Call, large: Call, times: int = 300) -> Line:
    """Time both calls, in turns."""
    seconds: dict[Call, list[float]] = {small: [], large: []}
    for _ in range(times):
        for call, taken in seconds.items():
            began = time.perf_counter()
            await call()
            taken.append(time.perf_counter() - began)
    before, after = map(statistics.median, seconds.values())
    figures = f"{after * 1e6:,.0f} µs / {before * 1e6:,.0f} µs"
    return Line(f"{name}: large / small", f"{after / before:.2f}", "<= 1.3", figures)


if __name__ == "__main__":
    show(asyncio.run(measure(*map(int, sys.argv[1:]))))
