"""What maintenance costs concurrent callers: callbacks are acknowledged while a backup is made, a
reader stays in a transaction, and old jobs are removed:
`python -m tests.benchmarks.maintenance [RATE] [SECONDS]`."""

import asyncio
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import costs
from tests.benchmarks.growth import grow
from tests.benchmarks.load import open_loop
from tests.benchmarks.sender import Exchange
from tests.benchmarks.table import Line, quantile, show
from tests.benchmarks.world import Callbacks, Server, fill, service

OPEN = 2_000
FINISHED = 50_000
HISTORY = f"""
INSERT INTO job_inputs
SELECT id, hex(zeroblob(iif(id LIKE '%00', 350000, 3000))) FROM jobs WHERE done_at > 0;
INSERT INTO users (id, name, secret, event_seq, event_nonce, origin_nonce)
VALUES (99, 'history', 'whsec_', {5 * FINISHED}, 'n', 'o');
INSERT INTO events
SELECT 99, row_number() OVER (ORDER BY id, column1), 'n', id, column1, 0, zeroblob(600)
  FROM jobs, (VALUES (1), (2), (3), (4), (5)) WHERE done_at > 0;
INSERT INTO callbacks (job_id, provider, received_at, digest, verdict, headers, body)
SELECT id, provider, done_at, randomblob(32), 'applied', '{{}}', zeroblob(600)
  FROM jobs, (VALUES (1), (2)) WHERE done_at > 0;
INSERT INTO deliveries (id, job_id, user_id, seq, status, final, self_declared, url, host, state,
                        created_at, delivered_at, body)
SELECT 'msg_' || column1 || id, id, 99, column1, status, column1 = 2, 0, 'https://hooks.example/',
       'hooks.example:443', 'delivered', done_at, done_at, zeroblob(700)
  FROM jobs, (VALUES (1), (2)) WHERE done_at > 0;
INSERT INTO attempts (delivery_id, n, at, status_code, duration_ms)
SELECT id, 1, created_at, 200, 50 FROM deliveries;
"""
"""The rows of finished jobs: inputs (one in a hundred of 700 KB), events, callbacks, webhooks."""
SWEEP = 45.0
"""Seconds after which retention has surely begun."""
CONNECTIONS = 64


@dataclass
class Phase:
    """What was measured during one activity."""

    name: str
    seconds: float
    latencies: list[float]
    """In seconds."""
    log: int
    """The largest size of the write-ahead log in bytes."""
    memory: int
    """The process's memory at the end, in MiB."""

    def line(self) -> Line:
        p50, p99 = (quantile(self.latencies, share) * 1e3 for share in (0.5, 0.99))
        return Line(
            f"{self.name}, {self.seconds:.0f} s: p50, p99",
            f"{p50:.1f} ms, {p99:.1f} ms",
            "",
            f"{max(self.latencies) * 1e3:.0f} ms at most; log {self.log / 1e6:.1f} MB;"
            f" {self.memory} MiB",
        )


class Bench:
    """A service under steady load."""

    def __init__(
        self, server: Server, database: Path, next_request: Callable[[], bytes], rate: float
    ) -> None:
        self.database = database
        self.log = database.with_name(f"{database.name}-wal")
        self._server = server
        self._rate = rate
        self._next_request = next_request
        self._pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))

    def phase(self, name: str, during: Callable[[], object]) -> Phase:
        """Load the service for as long as `during` runs."""
        largest = 0
        over = threading.Event()
        exchanges: list[Exchange] = []

        def load() -> None:
            nonlocal largest
            while not over.is_set():
                exchanges.extend(self.load(1.0))
                largest = max(largest, size(self.log))

        thread = threading.Thread(target=load)
        thread.start()
        began = time.perf_counter()
        try:
            during()
        finally:
            seconds = time.perf_counter() - began
            over.set()
            thread.join()
        assert {each.status for each in exchanges} == {200}, "every callback is accepted"
        latencies = [each.seconds for each in exchanges]
        memory = costs.resident([self._server.process.pid]) // 2**20
        return Phase(name, seconds, latencies, largest, memory)

    def close(self) -> None:
        self._pool.shutdown()

    def load(self, seconds: float) -> list[Exchange]:
        """Send callbacks for this many seconds from another process; returns the exchanges."""
        requests = [self._next_request() for _ in range(int(self._rate * seconds))]
        sending = self._pool.submit(
            open_loop, self._server.port, requests, self._rate, CONNECTIONS, timeout=30.0
        )
        return sending.result()


def measure(rate: float = 200.0, seconds: float = 10.0) -> Iterator[Line]:
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "bench.db"
        (account,) = asyncio.run(fill(f"sqlite:///{database}", 1, jobs=OPEN))
        grow(database, FINISHED, 0)
        _add_history(database)
        with service(f"sqlite:///{database}", LOG_LEVEL="warning") as server:
            bench = Bench(server, database, Callbacks(account).next, rate)
            bench.load(2.0)  # warms up
            yield Line("the database", f"{size(database) / 1e6:.0f} MB", "")
            for name, during in _phases(bench, Path(folder), seconds):
                yield bench.phase(name, during).line()
            bench.close()
            yield Line("the log in the end", f"{size(bench.log) / 1e6:.1f} MB", "")


def _phases(
    bench: Bench, folder: Path, seconds: float
) -> Iterator[tuple[str, Callable[[], object]]]:
    yield "nothing else", lambda: time.sleep(seconds)
    yield "receiver backup", lambda: _back_up(bench.database, folder / "copy.db")
    with _reader(bench.database):
        yield "a long reader", lambda: time.sleep(2 * seconds)
    yield "after it", lambda: time.sleep(seconds)
    yield "waiting for retention", lambda: _make_old(bench.database)
    yield f"retention of {FINISHED:,} jobs", lambda: _until_gone(bench.database)
    yield "nothing else, again", lambda: time.sleep(seconds)


def _add_history(database: Path) -> None:
    """Give each finished job the rows that a real one has; the events belong to another user."""
    with closing(sqlite3.connect(database)) as db:
        db.executescript(HISTORY)  # synced, so that the disk is idle when the first phase begins


def _back_up(database: Path, target: Path) -> None:
    environment = {**os.environ, "RECEIVER_DATABASE_URL": f"sqlite:///{database}"}
    command = [sys.executable, "-m", "receiver", "backup", str(target)]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def _reader(database: Path) -> Iterator[None]:
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM users").fetchall()
        yield
        db.execute("COMMIT")


def _make_old(database: Path) -> None:
    """Make every finished job older than the retention, and wait until retention has begun."""
    with closing(sqlite3.connect(database, isolation_level=None, timeout=30)) as db:
        db.execute("UPDATE jobs SET done_at = 1 WHERE done_at > 1")
        until = time.monotonic() + SWEEP
        while _left(db) == FINISHED:
            assert time.monotonic() < until, "retention has not begun"
            time.sleep(0.05)


def _until_gone(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        while _left(db):
            time.sleep(0.1)


def _left(db: sqlite3.Connection) -> int:
    ((count,),) = db.execute("SELECT count(*) FROM jobs WHERE done_at = 1").fetchall()
    return int(count)


def size(file: Path) -> int:
    """The size of a file in bytes; 0 if there is none."""
    return file.stat().st_size if file.exists() else 0


if __name__ == "__main__":
    show(measure(*(float(argument) for argument in sys.argv[1:])))
