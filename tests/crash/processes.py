"""The service as a process that can be killed, and commands that run beside it."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Self

import httpx

from tests.support.forked import CommandResult, ForkedProcess, run
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]

START_TIMEOUT = 60.0
"""A start that migrates PostgreSQL beside busy replicas may wait for its locks for 48 s."""
END_TIMEOUT = 30.0


@dataclass
class Service:
    """One database, one port, and the process that serves them, if there is one."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    options: tuple[str, ...] = ()
    """Those of `serve`."""
    forked: bool = True
    """Whether its processes are forked, which is faster, or each is `python -m receiver`."""
    before: Callable[[], None] | None = None
    """What a forked process calls before the command."""
    _process: ForkedProcess | subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def database(self) -> Path:
        return self.folder / "receiver.db"

    @property
    def log(self) -> Path:
        return self.folder / "service.log"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the service does not run"
        return self._process.pid

    def environment(self, **more: str) -> dict[str, str]:
        """The process's environment: of the RECEIVER_ variables, only these settings."""
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("RECEIVER_")
        }
        settings = {
            "RATE_LIMIT": "",
            "PROVIDER": "sandbox",
            "LOG_LEVEL": "warning",
            "DATABASE_URL": f"sqlite:///{self.database}",
            "PORT": str(self.port),
        } | self.settings
        return (
            inherited
            | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
            | {f"RECEIVER_{name}": value for name, value in settings.items()}
            | more
        )

    def spawn(self, *command: str) -> None:
        """Start the process, wrapped in `command` if given, without waiting until it answers."""
        assert self._process is None, "the service runs already"
        if self.forked and not command:
            self._process = ForkedProcess(
                "serve",
                *self.options,
                environment=self.environment(),
                folder=self.folder,
                out=self.log,
                err=self.log,
                first=self.before,
            )
            return
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, sys.executable, "-m", "receiver", "serve", *self.options],
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def start(self, *command: str) -> float:
        """Start it and wait until it answers; returns the seconds that took."""
        began = time.monotonic()
        self.spawn(*command)
        assert self._process is not None
        async with httpx.AsyncClient(trust_env=False) as client:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get(f"{self.url}/livez")).status_code == 200:
                        return time.monotonic() - began
                assert self._process.poll() is None, self.log.read_text()[-2000:]
                assert time.monotonic() - began < START_TIMEOUT, "the service does not answer"
                await asyncio.sleep(0.02)

    async def kill(self) -> None:
        """Send SIGKILL, and wait until the process is gone."""
        os.kill(self.pid, signal.SIGKILL)
        assert await self.ended() == -signal.SIGKILL

    async def terminate(self) -> tuple[int, float]:
        """Send SIGTERM; returns the exit status and the seconds until the exit."""
        began = time.monotonic()
        os.kill(self.pid, signal.SIGTERM)
        return await self.ended(), time.monotonic() - began

    async def ended(self) -> int:
        """Wait until the process has exited; returns the exit status."""
        assert self._process is not None, "the service does not run"
        status = await asyncio.to_thread(self._process.wait, END_TIMEOUT)
        self._process = None
        return status

    async def run(self, *arguments: str, **more: str) -> CommandResult:
        """Run a `receiver` command with the service's settings."""
        environment = self.environment(**more)
        running = partial(run, environment=environment, folder=self.folder, timeout=END_TIMEOUT)
        return await asyncio.to_thread(running, *arguments)

    async def make_key(self, user: str = "ada") -> Mapping[str, str]:
        """Create a key with `receiver keys create`: `key`, `secret`, `user`, `prefix`."""
        made: Mapping[str, str] = (await self.run("keys", "create", user, "--json")).json()
        return made

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            await self.ended()


@contextlib.asynccontextmanager
async def started(service: Service, *command: str) -> AsyncIterator[httpx.AsyncClient]:
    """Start the service, wrapped in `command` if given, with a client that has a key. The process
    ends with the block, if not before."""
    async with service:
        key = (await service.make_key())["key"]
        await service.start(*command)
        async with caller(service, key) as client:
            yield client


@contextlib.asynccontextmanager
async def caller(service: Service, key: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the service."""
    async with httpx.AsyncClient(
        base_url=service.url,
        headers={} if key is None else {"API-KEY": key},
        trust_env=False,
        timeout=20,
        # A kept connection would be broken once the process was killed.
        limits=httpx.Limits(max_keepalive_connections=0),
    ) as client:
        yield client
