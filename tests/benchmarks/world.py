"""What the benchmarks share: users with jobs in a database, and server processes."""

import asyncio
import itertools
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from receiver.clock import SystemClock
from receiver.domain.schedule import Rules
from receiver.engine.keys import hash_key
from receiver.signed_text import Purpose, Signer
from store.ids import Ids
from store.open import open_store
from tests.benchmarks.sender import request
from tests.store.world import World, accepted, add_key
from tests.support.ports import free_port
from tests.support.programs import running

SECRET = "benchmark-secret-of-at-least-32-characters"
NOW = 1_790_000_000_000
RULES = Rules(poll_first=3_600_000, poll_min=3_600_000)
"""Nothing is polled during a benchmark."""
MAX_CONCURRENT_WRITES = 100
"""The most concurrent writes: a slow disk refuses those that have waited for seconds."""

# --- servers --------------------------------------------------------------------------------------


@dataclass
class Server:
    """A server process."""

    port: int
    process: subprocess.Popen[str]


@contextmanager
def ready_server(module: str, *arguments: str) -> Iterator[Server]:
    """Run a server from this folder. It gets its port as the last argument and prints `ready`."""
    port = free_port()
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments, str(port)]
    with running(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Server(port, process)


@contextmanager
def service(database_url: str, **settings: str) -> Iterator[Server]:
    """Run `receiver serve`. By default its provider is unreachable."""
    port = free_port()
    environment = {
        **os.environ,
        "RECEIVER_DATABASE_URL": database_url,
        "RECEIVER_PORT": str(port),
        "RECEIVER_SECRET_KEYS": SECRET,
        "RECEIVER_SAMSAR_API_KEY": "none",
        "RECEIVER_SAMSAR_BASE_URL": "http://127.0.0.1:9/",
        "RECEIVER_RATE_LIMIT": "",
        "RECEIVER_LOG_FORMAT": "json",
        **{f"RECEIVER_{name}": value for name, value in settings.items()},
    }
    command = [sys.executable, "-m", "receiver", "serve"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with running(command, env=environment, **quiet) as process:
        wait_for(port, process)
        yield Server(port, process)


def wait_for(port: int, process: subprocess.Popen[str]) -> None:
    """Wait until the process listens. Raises RuntimeError if it exits."""
    while process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
    raise RuntimeError(f"the service ended with {process.returncode}")


# --- users with jobs ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Account:
    """A user's key, and jobs that the provider has accepted."""

    key: str
    jobs: dict[str, str]
    """Our id of each job, and the provider's."""


def key_of(index: int) -> str:
    """The key of one of the users that `fill` makes."""
    return f"rk_{index:043d}"


async def fill(database_url: str, users: int, *, jobs: int) -> list[Account]:
    """Create users, and jobs of each user."""
    store = await open_store(database_url)
    try:
        ids, places = Ids(os.urandom), asyncio.Semaphore(MAX_CONCURRENT_WRITES)

        async def job(world: World, name: str) -> str:
            now = SystemClock().now()
            taken = accepted(now, now + RULES.poll_first, provider_request_id=name)
            async with places:
                return (await world.advance(await world.create(at=now), taken)).id

        async def one(index: int) -> Account:
            key = key_of(index)
            async with places:
                user = await add_key(store, f"user-{index}", key[:11], hash=hash_key(key))
            world = World(store, user, user, ids, [])
            names = [f"up-{index}-{number}" for number in range(jobs)]
            made = await asyncio.gather(*(job(world, name) for name in names))
            return Account(key, dict(zip(made, names, strict=True)))

        return await asyncio.gather(*map(one, range(users)))
    finally:
        await store.close()


class Callbacks:
    """Callbacks that each cause a new event; the account's jobs take turns."""

    def __init__(self, account: Account) -> None:
        signer = Signer([SECRET])
        self._jobs = [
            (f"/webhooks/{signer.sign(Purpose.CALLBACK, f'samsar/{job_id}')}", name)
            for job_id, name in account.jobs.items()
        ]
        self._numbers = itertools.count()

    def parts(self) -> tuple[str, bytes]:
        """The path and the body of the next callback."""
        number = next(self._numbers)
        path, name = self._jobs[number % len(self._jobs)]
        body = f'{{"request_id":"{name}","status":"IN_PROGRESS","message":"step {number}"}}'
        return path, body.encode()

    def next(self) -> bytes:
        """The next callback as the bytes of a request."""
        return request("POST", *self.parts(), "Content-Type: application/json\r\n")
