"""The processes of the benchmark `lives`: the service on either store, the plain app, and the
provider. Each measurement has new processes and a new database."""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import uvloop

from tests.benchmarks.life_figures import Load, Measured
from tests.benchmarks.life_load import KEY, OTHER_KEY, Target, run
from tests.benchmarks.upstreams import settings_of
from tests.benchmarks.world import Server, fill, service, wait_for
from tests.support.ports import free_port
from tests.support.postgres_server import PostgresServer
from tests.support.programs import running

SETTINGS = {"POLL_RATE": "100000", "POLL_CONCURRENCY": "64"}
"""Confirmations are status calls, and count against these limits."""
SAFE = {
    "fsync": "on",
    "full_page_writes": "on",
    "wal_level": "replica",
    "autovacuum": "on",
    "shared_buffers": "128MB",
}
"""Settings of a durable PostgreSQL server; the one for the tests may lose data in a power cut."""


@dataclass
class Bench:
    """Runs loads against the service and the plain app."""

    provider: Server
    postgres: PostgresServer | None = None
    """Used instead of SQLite."""
    replicas: int = 1
    """Processes of the service; more than one needs PostgreSQL."""
    rounds: int = 3
    _done: dict[Load, tuple[list[Measured], list[Measured]]] = field(default_factory=dict)

    def in_turns(self, load: Load) -> tuple[list[Measured], list[Measured]]:
        """Measure the service and the plain app in turns, once a round. A load that was measured
        before is not run again."""
        if load not in self._done:
            pairs = [(self.ours(load), self._plain(load)) for _ in range(self.rounds)]
            self._done[load] = [ours for ours, _ in pairs], [plain for _, plain in pairs]
        return self._done[load]

    def ours(self, load: Load) -> Measured:
        with self._database() as url, ExitStack() as stack:
            asyncio.run(fill(url, 2, jobs=0))
            settings = SETTINGS | settings_of(self._provider_origin)
            servers = [stack.enter_context(service(url, **settings)) for _ in range(self.replicas)]
            return self._run(load, servers)

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
                return self._run(load, [Server(port, process)])

    def _run(self, load: Load, servers: list[Server]) -> Measured:
        target = Target([each.port for each in servers], [each.process.pid for each in servers])
        return uvloop.run(run(load, target, self.provider.port, self.provider.process.pid))

    @property
    def _provider_origin(self) -> str:
        return f"http://127.0.0.1:{self.provider.port}"

    @contextmanager
    def _database(self) -> Iterator[str]:
        """The URL of an empty database."""
        if self.postgres is not None:
            yield self.postgres.new_schema_url()
            return
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/lives.db"
