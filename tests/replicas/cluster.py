"""Three replicas on one PostgreSQL, behind a load balancer, with their surroundings."""

import asyncio
import contextlib
import random
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import ge
from pathlib import Path

from receiver.clock import SystemClock
from receiver.simulator.faults import SimulatorRules
from store.records.times import Millis
from tests.benchmarks.world import SECRET
from tests.crash.processes import ROOT, Service, caller
from tests.crash.surroundings import provider, reader, sink
from tests.crash.world import FINISH_TIMEOUT, QUICK, World
from tests.support.forked import CommandResult
from tests.support.pooler import Pooler
from tests.support.postgres_server import PostgresServer
from tests.support.service import eventually
from tests.support.tcp_server import tcp_server

OVERLAP_SECONDS = 2.0
"""Seconds that both versions run side by side after each step of an upgrade."""
CLIENTS, BACKLOG = 40, 400
"""How many clients submit jobs, and how many jobs may be open at once."""
SESSIONS = 6
"""Server sessions that a pooler shares among the replicas."""
CHUNK = 65_536


@dataclass
class Replica(Service):
    """One replica. If it runs an older version, `sources` is that version's folder."""

    sources: Path = ROOT

    def environment(self, **more: str) -> dict[str, str]:
        return super().environment(PYTHONPATH=str(self.sources), **more)

    def spawn(self, *command: str) -> None:
        self.forked = self.sources == ROOT  # a forked process has this version's modules
        super().spawn(*command)

    async def run(self, *arguments: str, **more: str) -> CommandResult:
        if self.sources == ROOT:
            return await super().run(*arguments, **more)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "receiver", *arguments),
            cwd=self.folder,
            env=self.environment(**more),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return CommandResult(process.returncode or 0, out.decode(), err.decode())


def _set_clock(seconds: int) -> None:
    """Shift this process's clock by this many seconds, ahead or back."""
    right = SystemClock.now

    def now(clock: SystemClock) -> Millis:
        return right(clock) + seconds * 1_000

    SystemClock.now = now  # type: ignore[method-assign, assignment] # for this process


@dataclass
class Balancer:
    """A load balancer: it passes each connection to a random replica that accepts it."""

    ports: list[int]
    rng: random.Random

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for port in self.rng.sample(self.ports, len(self.ports)):
            try:
                from_replica, to_replica = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                continue
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_forward(reader, to_replica))
                    group.create_task(_forward(from_replica, writer))
            finally:
                to_replica.transport.abort()
            return


async def _forward(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(CHUNK):
            target.write(data)
            await target.drain()
    target.close()


@dataclass
class Cluster:
    """The world, and the parts of it that a test can break."""

    world: World
    replicas: list[Replica]
    server: PostgresServer
    pooler: Pooler | None

    @contextlib.asynccontextmanager
    async def submitting(self, jobs: int) -> AsyncIterator[asyncio.Task[None]]:
        """Have this many jobs created by concurrent clients. At the end of the block all of them
        have been acknowledged."""
        room = partial(self.room, BACKLOG)
        task = asyncio.create_task(self.world.submit_all(range(jobs), CLIENTS, room))
        try:
            yield task
            await task
        finally:
            task.cancel()

    async def room(self, backlog: int) -> None:
        """Wait while more than `backlog` jobs are open."""
        await eventually(self._open_jobs, partial(ge, backlog), "room", timeout=FINISH_TIMEOUT)

    async def upgrade(self) -> None:
        """Replace replicas of an older version one by one, as docs/deploy.md says."""
        for replica in self.replicas:
            await asyncio.sleep(OVERLAP_SECONDS)
            assert (await replica.terminate())[0] == 0
            replica.sources = ROOT
            await replica.start()
        await asyncio.sleep(OVERLAP_SECONDS)

    async def _open_jobs(self) -> int:
        return len(self.world.acknowledged) - self.world.reader.ended


@contextlib.asynccontextmanager
async def running_cluster(
    folder: Path,
    rules: SimulatorRules,
    rng: random.Random,
    *,
    pooled: bool = False,
    clocks: Sequence[int] = (0, 0, 0),
    sources: Path = ROOT,
    **more: str,
) -> AsyncIterator[Cluster]:
    """Run a database and its replicas; each may be killed and restarted. `more` are settings."""
    with contextlib.ExitStack() as stack:
        # The server stays up while its clients are killed, and syncs like one in production.
        server = stack.enter_context(PostgresServer.running(fsync="on", autovacuum="on"))
        pooler = stack.enter_context(Pooler.running(server, SESSIONS)) if pooled else None
        url = pooler.url() if pooler else server.url()
        async with running_replicas(
            folder, rules, rng, url, clocks=clocks, sources=sources, **more
        ) as (world, replicas):
            yield Cluster(world, replicas, server, pooler)


@contextlib.asynccontextmanager
async def running_replicas(
    folder: Path,
    rules: SimulatorRules,
    rng: random.Random,
    url: str,
    *,
    clocks: Sequence[int],
    sources: Path = ROOT,
    **more: str,
) -> AsyncIterator[tuple[World, list[Replica]]]:
    """Run replicas on the database at `url`, with their surroundings. `clocks` are the seconds by
    which their clocks are wrong, `more` are settings."""
    async with contextlib.AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(provider(rules))
        front = Service(folder)
        settings = {
            **upstream.settings,
            **QUICK,
            "DATABASE_URL": url,
            "SECRET_KEYS": SECRET,
            "PUBLIC_URL": front.url,
            **more,
        }
        replicas = []
        for number, clock in enumerate(clocks):
            place = folder / f"replica-{number}"
            place.mkdir()
            replica = Replica(place, settings, sources=sources, before=partial(_set_clock, clock))
            replicas.append(await stack.enter_async_context(replica))
        credentials = await replicas[0].make_key()
        balancer = Balancer([replica.port for replica in replicas], rng)
        await stack.enter_async_context(tcp_server(balancer.connected, port=front.port))
        hooks = await stack.enter_async_context(sink(credentials["secret"]))
        client = await stack.enter_async_context(caller(front, credentials["key"]))
        await asyncio.gather(*(replica.start() for replica in replicas))
        follower = await stack.enter_async_context(reader(client))
        yield World(front, upstream, hooks, client, follower), replicas
