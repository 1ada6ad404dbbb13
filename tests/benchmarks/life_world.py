"""What `lives` measures, in processes of their own: the service on either store, the plain app, and
the provider beside them. Each measurement has new processes and a new database."""

import asyncio
import itertools
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import uvloop

from receiver.actions.keys import hash_key
from store.keys import ApiKey
from store.open import open_store
from tests.benchmarks.life_figures import Load, Measured
from tests.benchmarks.life_load import OTHER_KEY, Target, run
from tests.benchmarks.upstreams import settings_of
from tests.benchmarks.world import KEY, NOW, Server, service, wait_for
from tests.support.ports import free_port
from tests.support.postgres_server import PostgresServer
from tests.support.programs import running

SETTINGS = {"POLL_RATE": "100000", "POLL_CONCURRENCY": "64"}
"""Confirmations are status calls, and take their turn among the others."""
SAFE = {
    "fsync": "on",
    "full_page_writes": "on",
    "wal_level": "replica",
    "autovacuum": "on",
    "shared_buffers": "128MB",
}
"""Of a PostgreSQL server: the tests' own forgets what a power cut takes."""
_WAITING = "SELECT count(*) FROM callbacks WHERE verdict = 'waiting'"


@dataclass
class Bench:
    """Runs loads against the service and the plain app."""

    provider: Server
    database_url: str = ""
    """`postgresql://…`; empty for SQLite."""
    replicas: int = 1
    """Processes of the service; more than one needs PostgreSQL."""
    rounds: int = 3
    _done: dict[Load, tuple[list[Measured], list[Measured]]] = field(default_factory=dict)
    _schemas: Iterator[int] = field(default_factory=itertools.count)

    def in_turns(self, load: Load) -> tuple[list[Measured], list[Measured]]:
        """Of each round, the service and the plain app; what was measured before is not again."""
        if load not in self._done:
            pairs = [(self.ours(load), self._plain(load)) for _ in range(self.rounds)]
            self._done[load] = [ours for ours, _ in pairs], [plain for _, plain in pairs]
        return self._done[load]

    def ours(self, load: Load) -> Measured:
        with self._database() as (url, waiting_callbacks), ExitStack() as stack:
            asyncio.run(_add_users(url))
            settings = SETTINGS | settings_of(self._provider_origin) | {"DATABASE_URL": url}
            servers = [
                stack.enter_context(service(Path(), **settings)) for _ in range(self.replicas)
            ]
            return self._run(load, servers, waiting_callbacks)

    def _plain(self, load: Load) -> Measured:
        with tempfile.TemporaryDirectory() as folder:
            port = free_port()
            command = [
                *(sys.executable, "-m", "tests.benchmarks.plain_app", str(port)),
                *(f"{folder}/plain.db", f"{self._provider_origin}/v1/video/"),
                *(f"{KEY}=bench", f"{OTHER_KEY}=other"),
            ]
            with running(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                wait_for(port, process)
                return self._run(load, [Server(port, process)], lambda: 0)

    def _run(self, load: Load, servers: list[Server], waiting: Callable[[], int]) -> Measured:
        target = Target(
            [each.port for each in servers], [each.process.pid for each in servers], waiting
        )
        return uvloop.run(run(load, target, self.provider.port, self.provider.process.pid))

    @property
    def _provider_origin(self) -> str:
        return f"http://127.0.0.1:{self.provider.port}"

    @contextmanager
    def _database(self) -> Iterator[tuple[str, Callable[[], int]]]:
        """An empty one: its address, and how to count the callbacks that wait in it."""
        if not self.database_url:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "lives.db"
                yield f"sqlite:///{path}", lambda: _waiting_in_sqlite(path)
            return
        schema = f"lives_{next(self._schemas)}"
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())
            connection.execute(f"CREATE SCHEMA {schema}".encode())
            separator = "&" if "?" in self.database_url else "?"
            url = f"{self.database_url}{separator}options=-csearch_path%3D{schema}"
            yield url, lambda: _waiting_in_postgres(url)
            connection.execute(f"DROP SCHEMA {schema} CASCADE".encode())


async def _add_users(url: str) -> None:
    store = await open_store(url)
    try:
        for key, name in ((KEY, "bench"), (OTHER_KEY, "other")):
            row = ApiKey(hash_key(key), key[:11], 0, name, False, NOW, None)
            await store.keys.add(row, "whsec_" + "A" * 32)
    finally:
        await store.close()


def _waiting_in_sqlite(database: Path) -> int:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
        return int(db.execute(_WAITING).fetchone()[0])


def _waiting_in_postgres(url: str) -> int:
    with psycopg.connect(url) as db:
        row = db.execute(_WAITING.encode()).fetchone()
        assert row is not None
        return int(row[0])


@contextmanager
def postgres() -> Iterator[str]:
    """The address of a server that was started for this, and keeps what it commits."""
    with PostgresServer.running(**SAFE) as server:
        yield server.url()
