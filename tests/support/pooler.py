"""pgbouncer between a service and its PostgreSQL server: each transaction may use another session
of the server."""

import contextlib
import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import psycopg

from tests.support.ports import free_port
from tests.support.postgres_server import PostgresServer

START_SECONDS = 10.0

SETTINGS = """
[databases]
* = host=127.0.0.1 port={server} user=receiver
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {sessions}
server_reset_query_always = 1
server_login_retry = 1
max_prepared_statements = 0
logfile = {folder}/pgbouncer.log
"""


def is_installed() -> bool:
    """Whether pgbouncer is installed."""
    return shutil.which("pgbouncer") is not None


@dataclass
class Pooler:
    """A pooler on a port of its own, which a test may kill and start again."""

    server: PostgresServer
    sessions: int
    """Sessions of the server for one database, which the clients share."""
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @classmethod
    @contextlib.contextmanager
    def running(cls, server: PostgresServer, sessions: int) -> Iterator["Pooler"]:
        """Run a pooler until the block is left."""
        pooler = cls(server, sessions)
        try:
            pooler.start()
            yield pooler
        finally:
            pooler.kill()

    def url(self, database: str = "postgres") -> str:
        """The URL of a database behind the pooler; LISTEN goes to the server directly."""
        listen = f"listen=127.0.0.1:{self.server.port}"
        return f"postgresql://receiver@127.0.0.1:{self.port}/{database}?{listen}"

    def start(self) -> None:
        """Start it, and wait until it forwards queries."""
        folder = self.server.folder
        settings = folder / f"pgbouncer-{self.port}.ini"
        settings.write_text(
            SETTINGS.format(
                server=self.server.port, port=self.port, sessions=self.sessions, folder=folder
            )
        )
        # Like the server, it refuses to run as root.
        as_user = ["-u", pwd.getpwuid(folder.stat().st_uid).pw_name] if os.geteuid() == 0 else []
        self._process = subprocess.Popen(
            ["pgbouncer", "-q", *as_user, str(settings)], cwd="/", stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + START_SECONDS
        while True:
            address = self.url().partition("?")[0]
            with contextlib.suppress(psycopg.OperationalError), psycopg.connect(address):
                return
            assert self._process.poll() is None, "the pooler exited"
            assert time.monotonic() < until, "the pooler does not answer"
            time.sleep(0.02)

    def kill(self) -> None:
        """End it and all of its connections at once."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(10)
