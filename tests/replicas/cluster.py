"""Three replicas of the service on one PostgreSQL, behind a balancer, and everybody around them."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from receiver.sandbox.rules import SandboxRules
from tests.benchmarks.world import SECRET
from tests.crash.outside import provider, reader, sink
from tests.crash.processes import Service, caller
from tests.crash.world import QUICK, World
from tests.postgres_server import PostgresServer
from tests.tcp_server import tcp_server

REPLICAS = 3
CHUNK = 65_536


@dataclass
class Balancer:
    """Gives each connection to a replica that takes it, whichever."""

    ports: list[int]
    chance: random.Random
    given: dict[int, int] = field(default_factory=dict)
    """Connections by port."""

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for port in self.chance.sample(self.ports, len(self.ports)):
            try:
                from_replica, to_replica = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                continue
            self.given[port] = self.given.get(port, 0) + 1
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_pour(reader, to_replica))
                    group.create_task(_pour(from_replica, writer))
            finally:
                to_replica.transport.abort()
            return


async def _pour(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(CHUNK):
            target.write(data)
            await target.drain()
    target.close()


@dataclass
class Cluster:
    """The world, and what can be broken in it."""

    world: World
    replicas: list[Service]
    balancer: Balancer
    server: PostgresServer


@contextlib.asynccontextmanager
async def cluster(
    folder: Path, rules: SandboxRules, chance: random.Random
) -> AsyncIterator[Cluster]:
    """Replicas that run; each may be killed and started."""
    async with contextlib.AsyncExitStack() as stack:
        # The server outlives kills of its clients, and syncs as one in production does.
        server = stack.enter_context(PostgresServer.running(fsync="on", autovacuum="on"))
        upstream = await stack.enter_async_context(provider(rules))
        front = Service(folder)
        settings = {
            **upstream.settings,
            **QUICK,
            "DATABASE_URL": server.url(),
            "SECRET_KEYS": SECRET,
            "PUBLIC_URL": front.url,
        }
        replicas = []
        for number in range(REPLICAS):
            place = folder / f"replica-{number}"
            place.mkdir()
            replicas.append(await stack.enter_async_context(Service(place, settings)))
        credentials = await replicas[0].make_key()
        balancer = Balancer([replica.port for replica in replicas], chance)
        await stack.enter_async_context(tcp_server(balancer.connected, port=front.port))
        hooks = await stack.enter_async_context(sink(credentials["secret"]))
        client = await stack.enter_async_context(caller(front, credentials["key"]))
        await asyncio.gather(*(replica.start() for replica in replicas))
        follower = await stack.enter_async_context(reader(client))
        world = World(front, upstream, hooks, client, follower)
        yield Cluster(world, replicas, balancer, server)
        await asyncio.gather(*(watching for _, watching in world.watchers))
