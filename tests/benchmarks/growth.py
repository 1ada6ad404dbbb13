"""What a long history costs: the same calls of the store on a small and on a large database, in
turns: `python -m tests.benchmarks.growth [FINISHED] [OPEN]`."""

import asyncio
import itertools
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TypeAlias

from store.database import Store
from store.job_reads import JobFilter
from store.open import open_store
from store.records.times import Lane, Millis
from tests.benchmarks.table import Line, show
from tests.benchmarks.world import fill
from tests.store.world import incoming_callback, lease_due, unchanged

FAR: Millis = 4_000_000_000_000
SMALL = 1_000

Call: TypeAlias = Callable[[], Awaitable[object]]


def grow(database: Path, finished: int, unfinished: int) -> None:
    """Clone one job this many times, as rows; an unfinished job with its row in `due`."""
    with closing(sqlite3.connect(database)) as db, db:
        db.execute("PRAGMA synchronous = OFF")
        columns = [name for _, name, *_ in db.execute("PRAGMA table_info(jobs)")]
        for count, prefix, done in ((finished, "job_00F", True), (unfinished, "job_00U", False)):
            changed = {
                "id": f"'{prefix}' || printf('%023d', n.value)",
                "provider_request_id": f"'{prefix}' || n.value",
            }
            if done:
                changed |= {
                    "status": "'FAILED'",
                    "phase": "'finished'",
                    "error_code": "'provider_failed'",
                    "error_message": "'no'",
                    "error_billed": "1",
                    "done_at": "j.created_at",
                }
            values = ", ".join(changed.get(column, f"j.{column}") for column in columns)
            numbers = (
                "WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n"
                f" WHERE value < {count})"
            )
            db.execute(
                f"INSERT INTO jobs ({', '.join(columns)}) {numbers}"
                f" SELECT {values} FROM n, (SELECT * FROM jobs LIMIT 1) j"
            )
            if not done:
                db.execute(
                    "INSERT INTO due (job_id, lane, at) SELECT id, 'poll', ? FROM jobs"
                    " WHERE id LIKE ?",
                    (FAR, prefix + "%"),
                )


async def measure(finished: int = 1_000_000, unfinished: int = 100_000) -> list[Line]:
    with tempfile.TemporaryDirectory() as folder:
        databases = [Path(folder, name) for name in ("small.db", "large.db")]
        urls = [f"sqlite:///{database}" for database in databases]
        ids = [list(account.jobs) for url in urls for account in await fill(url, 1, jobs=SMALL)]
        grow(databases[1], finished, unfinished)
        lines = [await _compare("open", [partial(_open_and_close, url) for url in urls], 20)]
        stores = [await open_store(url) for url in urls]
        try:
            small, large = map(_calls, stores, ids)
            lines += [await _compare(name, [small[name], large[name]]) for name in small]
        finally:
            for store in stores:
                await store.close()
    return lines


async def _open_and_close(url: str) -> None:
    await (await open_store(url)).close()


def _calls(store: Store, ids: list[str]) -> dict[str, Call]:
    numbers = itertools.count()

    def receive() -> Awaitable[object]:
        number = next(numbers)
        job_id, body = ids[number % SMALL], b'{"n":%d}' % number
        return store.callbacks.receive(incoming_callback(job_id, body, at=FAR), unchanged)

    return {
        "due query, nothing due": lambda: lease_due(store, Lane.POLL, 1, 2, "me", 9),
        "acknowledge a callback": receive,
        "list, 50 jobs": lambda: store.jobs.list_page(1, JobFilter(), None, 50),
        "status": lambda: store.jobs.find(ids[next(numbers) % SMALL]),
    }


async def _compare(name: str, calls: list[Call], times: int = 300) -> Line:
    """Time each call on the small database and on the large one, in turns."""
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(times):
        for call, taken in zip(calls, seconds, strict=True):
            began = time.perf_counter()
            await call()
            taken.append(time.perf_counter() - began)
    before, after = map(statistics.median, seconds)
    return Line(
        f"{name}, after a million jobs / before",
        f"{after / before:.2f}",
        "<= 1.3",
        f"{after * 1e6:,.0f} µs / {before * 1e6:,.0f} µs",
    )


if __name__ == "__main__":
    show(asyncio.run(measure(*(int(argument) for argument in sys.argv[1:]))))
