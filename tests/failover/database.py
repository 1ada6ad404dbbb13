"""PostgreSQL and Patroni on three machines, etcd on three others, and HAProxy in front."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from itertools import compress
from pathlib import Path

import httpx
import psycopg

from tests.failover.machines import NETWORK, Machine
from tests.support.ports import free_port
from tests.support.programs import running
from tests.support.service import eventually

PROGRAMS = ("patroni", "etcd", "haproxy", "ip", "unshare", "setpriv")
"""Debian's patroni, python3-etcd, etcd-server, haproxy, iproute2 and util-linux; and postgresql."""

READY_SECONDS = 180.0

# docs/postgresql.md shows what matters of these two. Here a machine's death does not lose what the
# kernel holds, so nothing has to be synced.
PATRONI = """
scope: receiver
name: {name}
restapi: {{listen: "{address}:8008", connect_address: "{address}:8008"}}
etcd3: {{hosts: [{etcd}]}}
bootstrap:
  dcs:
    synchronous_mode: true
    synchronous_mode_strict: true
    primary_start_timeout: 0
    postgresql:
      use_pg_rewind: true
      parameters: {{max_connections: 100, shared_buffers: 64MB}}
  initdb: [encoding: UTF8, no-locale]
postgresql:
  listen: "{address}:5432"
  connect_address: "{address}:5432"
  bin_dir: {bin}
  data_dir: {folder}/data
  pgpass: {folder}/pgpass
  parameters: {{unix_socket_directories: {folder}, fsync: "off"}}
  pg_hba:
    - local all all trust
    - host all all {network} trust
    - host replication all {network} trust
  authentication:
    superuser: {{username: postgres}}
    replication: {{username: replicator}}
"""

HAPROXY = """
defaults
  mode tcp
  timeout connect 2s
  timeout client 1h
  timeout server 1h
listen postgres
  bind 127.0.0.1:{port}
  option httpchk OPTIONS /primary
  http-check expect status 200
  default-server inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
{servers}
"""

ETCD = (
    "etcd --name {name} --data-dir {folder}/etcd --log-level error --unsafe-no-fsync"
    " --heartbeat-interval 300 --election-timeout 3000"
    " --listen-client-urls http://{address}:2379 --advertise-client-urls http://{address}:2379"
    " --listen-peer-urls http://{address}:2380 --initial-advertise-peer-urls http://{address}:2380"
    " --initial-cluster {peers}"
)


def missing() -> list[str]:
    """The programs that are not installed."""
    absent = [name for name in PROGRAMS if shutil.which(name, path=_PATH) is None]
    return absent if _binaries() else [*absent, "postgres (Debian's package postgresql)"]


@dataclass
class Database:
    """The machines, and the port where the leader is reached."""

    machines: list[Machine]
    """Those of PostgreSQL and Patroni."""
    etcd: list[Machine]
    """Those of etcd. One that is paused with the leader may end the next leader's lease when it
    wakes (etcd's issue 15247); then the former leader can lead again."""
    port: int

    def url(self, user: str = "receiver", database: str = "receiver") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    async def leader(self) -> Machine:
        """The machine that says that it is the leader; there must be one."""
        leading = await _those_with("primary", self.machines)
        assert len(leading) == 1, f"{len(leading)} machines lead"
        return leading[0]

    async def new_leader(self, old: Machine) -> Machine:
        """Wait until another machine leads; returns it."""
        others = [each for each in self.machines if each is not old]
        read = partial(_those_with, "primary", others)
        return (await eventually(read, bool, "a new leader", timeout=READY_SECONDS))[0]

    async def healthy(self) -> None:
        """Wait until there are one leader, two standbys that stream from it, one of them
        synchronous, and three healthy members of etcd: so that the next fault is the only one."""

        async def states() -> tuple[int, int, list[str], int]:
            leading = await _those_with("primary", self.machines)
            synchronous = await _those_with("synchronous", self.machines)
            streaming = await _streaming(leading[0]) if len(leading) == 1 else []
            members = await _those_with("health", self.etcd, port=2379)
            return len(leading), len(synchronous), streaming, len(members)

        whole = (1, 1, ["async", "sync"], 3)
        await eventually(states, whole.__eq__, "the whole cluster", timeout=READY_SECONDS)


async def session(machine: Machine) -> psycopg.AsyncConnection:
    """A connection to the machine's own server, whether or not it leads."""
    return await psycopg.AsyncConnection.connect(
        f"postgresql://postgres@{machine.address}/postgres?connect_timeout=2", autocommit=True
    )


@contextlib.asynccontextmanager
async def running_database(folder: Path) -> AsyncIterator[Database]:
    """Run the machines, with an empty database `receiver`, until the block is left."""
    folder.chmod(0o755)
    every = [Machine(number, folder / f"node{number}") for number in range(1, 7)]
    database = Database(every[:3], every[3:], free_port())
    try:
        for machine in every:
            machine.folder.mkdir()
            shutil.chown(machine.folder, "postgres", "postgres")
            machine.command = _command(machine, database)
            machine.boot()
        settings = folder / "haproxy.cfg"
        servers = (
            f"  server {each.name} {each.address}:5432 check port 8008"
            for each in database.machines
        )
        settings.write_text(HAPROXY.format(port=database.port, servers="\n".join(servers)))
        with (
            (folder / "haproxy.log").open("ab") as log,
            running(["haproxy", "-db", "-f", settings], stdout=log, stderr=log),
        ):
            await database.healthy()
            await asyncio.to_thread(_create, database)
            yield database
    finally:
        for machine in every:
            machine.kill()


_PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin"


def _binaries() -> Path | None:
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return installed[-1].parent if installed else None


def _command(machine: Machine, database: Database) -> str:
    """What this machine runs."""
    names = {"name": machine.name, "address": machine.address, "folder": machine.folder}
    if machine in database.etcd:
        peers = ",".join(f"{each.name}=http://{each.address}:2380" for each in database.etcd)
        return f"exec {ETCD.format(**names, peers=peers)}"
    etcd = ", ".join(f"'{each.address}:2379'" for each in database.etcd)
    settings = machine.folder / "patroni.yml"
    settings.write_text(PATRONI.format(**names, etcd=etcd, bin=_binaries(), network=NETWORK))
    return f"exec patroni {settings}"


def _create(database: Database) -> None:
    with psycopg.connect(database.url("postgres", "postgres"), autocommit=True) as connection:
        connection.execute("CREATE ROLE receiver LOGIN")
        connection.execute("CREATE DATABASE receiver OWNER receiver TEMPLATE template0")


async def _those_with(state: str, machines: list[Machine], port: int = 8008) -> list[Machine]:
    """Those machines whose Patroni (or etcd, by its port) says that it is in this state."""
    async with httpx.AsyncClient(trust_env=False, timeout=1) as client:

        async def is_so(machine: Machine) -> bool:
            with contextlib.suppress(httpx.TransportError):
                answer = await client.get(f"http://{machine.address}:{port}/{state}")
                return answer.status_code == 200
            return False

        return list(compress(machines, await asyncio.gather(*map(is_so, machines))))


async def _streaming(leader: Machine) -> list[str]:
    """How each standby that streams from this leader takes part in its commits, in order."""
    query = "SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming' ORDER BY 1"
    with contextlib.suppress(psycopg.OperationalError):
        async with await session(leader) as connection:
            return [state async for (state,) in await connection.execute(query)]
    return []
