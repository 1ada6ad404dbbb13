"""A database full of open jobs, and servers in processes of their own, for the benchmarks."""

import asyncio
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from receiver.actions.keys import hash_key
from receiver.domain.answers import SubmitAccepted
from receiver.domain.lifecycle import deciding
from receiver.domain.observations import SubmissionBegins, SubmissionEnded
from receiver.domain.schedule import Rules
from receiver.domain.serialization import event_data
from receiver.signed_text import CallbackTokens
from store.database import Store
from store.ids import Ids, time_of
from store.keys import ApiKey, User
from store.open import open_store
from store.records.jobs import Job, Phase, Status
from store.records.moves import NewJob
from store.records.times import Due, Lane
from tests.benchmarks.sender import request
from tests.support.ports import free_port
from tests.support.programs import running

SECRET = "benchmark-secret-of-at-least-32-characters"
KEY = "rk_" + "b" * 43
NOW = 1_790_000_000_000


@dataclass
class Server:
    """One process that serves."""

    port: int
    process: subprocess.Popen[str]


@contextmanager
def alone(server: Server, servers: Iterable[Server]) -> Iterator[None]:
    """Let the others stand still: a service works on at what it was given before."""
    others = [other for other in servers if other is not server]
    try:
        for other in others:
            other.process.send_signal(signal.SIGSTOP)
        yield
    finally:
        for other in others:
            other.process.send_signal(signal.SIGCONT)


@contextmanager
def announced(module: str, *arguments: str) -> Iterator[Server]:
    """A server of this folder, which gets its port last and says when it is ready."""
    port = free_port()
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments, str(port)]
    with running(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Server(port, process)


@contextmanager
def service(database: Path, *, module: str = "receiver", **settings: str) -> Iterator[Server]:
    """`receiver serve`, whose provider is nowhere and is not asked within a benchmark. `module` is
    what Python runs in its place."""
    port = free_port()
    environment = {
        **os.environ,
        "RECEIVER_DATABASE_URL": f"sqlite:///{database}",
        "RECEIVER_PORT": str(port),
        "RECEIVER_SECRET_KEYS": SECRET,
        "RECEIVER_SAMSAR_API_KEY": "none",
        "RECEIVER_SAMSAR_BASE_URL": "http://127.0.0.1:9/",
        "RECEIVER_RATE_LIMIT": "",
        "RECEIVER_LOG_FORMAT": "json",
        **{f"RECEIVER_{name}": value for name, value in settings.items()},
    }
    command = [sys.executable, "-m", module, "serve"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with running(command, env=environment, **quiet) as process:
        wait_for(port, process)
        yield Server(port, process)


def wait_for(port: int, process: subprocess.Popen[str]) -> None:
    """Wait until the process listens. Raises RuntimeError when it ends instead."""
    while process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
    raise RuntimeError(f"the service ended with {process.returncode}")


async def fill(database: Path, jobs: int) -> list[str]:
    """Make so many accepted jobs that wait for their callbacks; their ids."""
    store = await open_store(f"sqlite:///{database}")
    try:
        user = await store.keys.add(
            ApiKey(hash_key(KEY), KEY[:11], 0, "bench", False, NOW, None), "whsec_" + "A" * 32
        )
        ids = Ids(os.urandom)
        made = []
        # A slow disk refuses writes that have waited for seconds: not too many at once.
        for first in range(0, jobs, 100):
            some = range(first, min(first + 100, jobs))
            made += await asyncio.gather(*(accepted_job(store, ids, user, f"up-{n}") for n in some))
        return made
    finally:
        await store.close()


async def accepted_job(store: Store, ids: Ids, user: User, provider_request_id: str) -> str:
    """Make a job that the provider has accepted; its id."""
    job_id = ids.new("job", time.time_ns() // 1_000_000)
    at = time_of(job_id)
    job = Job(
        id=job_id,
        user_id=user.id,
        user=user.name,
        provider="samsar",
        kind="create_movie",
        status=Status.PENDING,
        phase=Phase.QUEUED,
        seq=1,
        created_at=at,
        updated_at=at,
        due=Due(Lane.SUBMIT, at),
    )
    await store.jobs.create(NewJob(replace(job), {"prompt": "a cat"}, event_data(job)))
    rules = Rules(poll_first=3_600_000)
    begins = SubmissionBegins(1, at + 60_000)
    accepted = SubmissionEnded(begins, SubmitAccepted(provider_request_id))
    for observation in (begins, accepted):
        await store.jobs.advance(job_id, deciding(observation, lambda: at, rules))
    return job_id


def callbacks(job_ids: list[str]) -> Callable[[], bytes]:
    """Requests that are each a new callback of one of the jobs."""
    tokens = CallbackTokens([SECRET])
    paths = [f"/webhooks/samsar/{tokens.sign('samsar', job_id)}" for job_id in job_ids]
    count = itertools.count()

    def next_request() -> bytes:
        index = next(count)
        which = index % len(job_ids)
        body = (
            f'{{"request_id":"up-{which}","status":"IN_PROGRESS","progress":{index % 99},'
            f'"message":"step {index}"}}'
        ).encode()
        return request("POST", paths[which], body, "Content-Type: application/json\r\n")

    return next_request
