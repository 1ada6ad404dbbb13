"""What history costs: the same calls of the store on a small database and on a large one, in turns:
`python -m tests.benchmarks.growth [FINISHED] [OPEN]`."""

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

from store.database import Store
from store.job_reads import JobFilter
from store.open import open_store
from store.records.times import Lane, Millis
from tests.benchmarks.table import Line, show
from tests.benchmarks.world import fill

FAR: Millis = 4_000_000_000_000
SMALL = 1_000
CALLS = 300


def grow(database: Path, finished: int, unfinished: int) -> None:
    """Clone one job so often, as rows: with its event and, while unfinished, what is due."""
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


def measure(finished: int = 1_000_000, unfinished: int = 100_000) -> list[Line]:
    return asyncio.run(_measure(finished, unfinished))


async def _measure(finished: int, unfinished: int) -> list[Line]:
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "small.db", Path(folder) / "large.db"
        ids = {path: await fill(path, SMALL) for path in (small, large)}
        grow(large, finished, unfinished)
        lines = [await _opening(small, large)]
        stores = {path: await open_store(f"sqlite:///{path}") for path in (small, large)}
        try:
            for name, call in _calls().items():
                calls = {path: call(store, ids[path]) for path, store in stores.items()}
                lines.append(await _compare(name, calls, small, large))
        finally:
            for store in stores.values():
                await store.close()
    return lines


def _calls() -> dict[str, Callable[[Store, list[str]], Callable[[], Awaitable[object]]]]:
    count = itertools.count()

    def receive(store: Store, ids: list[str]) -> Callable[[], Awaitable[object]]:
        def call() -> Awaitable[object]:
            n = next(count)
            body = b'{"n":%d}' % n
            return store.callbacks.receive(
                "samsar", ids[n % len(ids)], body, "", FAR, None, readable=True
            )

        return call

    return {
        "due query, nothing due": lambda store, _: (
            lambda: store.jobs.lease_due(Lane.POLL, 1, 2, "bench", 8)
        ),
        "next due": lambda store, _: lambda: store.jobs.next_due(Lane.POLL),
        "acknowledge a callback": receive,
        "list, 50 jobs": lambda store, _: (
            lambda: store.jobs.list_for_user(1, JobFilter(), None, 50)
        ),
        "status": lambda store, ids: lambda: store.jobs.find_for_user(1, ids[next(count) % SMALL]),
    }


async def _opening(small: Path, large: Path) -> Line:
    async def open_and_close(path: Path) -> None:
        await (await open_store(f"sqlite:///{path}")).close()

    return await _compare(
        "open",
        {path: partial(open_and_close, path) for path in (small, large)},
        small,
        large,
        calls=20,
    )


async def _compare(
    name: str,
    calls_by_path: dict[Path, Callable[[], Awaitable[object]]],
    small: Path,
    large: Path,
    calls: int = CALLS,
) -> Line:
    seconds: dict[Path, list[float]] = {path: [] for path in calls_by_path}
    for _ in range(calls):
        for path, call in calls_by_path.items():
            began = time.perf_counter()
            await call()
            seconds[path].append(time.perf_counter() - began)
    before, after = (statistics.median(seconds[path]) for path in (small, large))
    return Line(
        f"{name}, after a million jobs / before",
        f"{after / before:.2f}",
        "<= 1.3",
        f"{after * 1e6:,.0f} µs / {before * 1e6:,.0f} µs",
    )


if __name__ == "__main__":
    show(measure(*(int(argument) for argument in sys.argv[1:])))
