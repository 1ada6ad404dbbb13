"""Servers of event streams, ours and others', in processes of their own, and what they cost."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from receiver.actions.keys import hash_key
from receiver.clock import SystemClock
from receiver.domain.answers import Report, StatusReport
from receiver.domain.lifecycle import deciding
from receiver.domain.observations import Polled
from receiver.domain.schedule import Rules
from receiver.signed_text import CallbackTokens
from store.database import Store
from store.ids import Ids
from store.keys import ApiKey
from store.open import open_store
from store.records.events import Cursor
from store.records.jobs import Status
from tests.benchmarks import costs
from tests.benchmarks.sender import request
from tests.benchmarks.world import NOW, SECRET, Server, accepted_job
from tests.support.nginx import nginx
from tests.support.ports import free_port

NCHAN_MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
_IDLE = """
import signal, sys, time
late = []
def end(*_):
    late.sort()
    print(late[len(late) * 99 // 100])
    sys.exit()
signal.signal(signal.SIGTERM, end)
while True:
    began = time.perf_counter()
    time.sleep(0.002)
    late.append(time.perf_counter() - began - 0.002)
"""
_NCHAN = """
server {{
  listen 127.0.0.1:{port};
  location ~ /publish/(.+)$ {{ nchan_publisher http; nchan_channel_id $1; }}
  location ~ /events/(.+)$ {{
    nchan_subscriber eventsource;
    nchan_channel_id $1;
    nchan_subscriber_first_message newest;
  }}
}}
"""


# --- what a process costs -------------------------------------------------------------------------


def cpu_seconds(server: Server) -> float:
    """Of the process and its children, since they began."""
    return costs.cpu_seconds([server.process.pid])


def memory(server: Server) -> int:
    """Bytes that the process and its children hold for themselves."""
    return sum(_private_bytes(pid) for pid in costs.family(server.process.pid))


def _private_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


@contextmanager
def idle_process() -> Iterator[Callable[[], float]]:
    """A process that does nothing but sleep: calling what it gives ends it, and gives how late its
    timers were, in seconds at the 99th percentile. So busy is the machine with other things."""
    process = subprocess.Popen([sys.executable, "-c", _IDLE], stdout=subprocess.PIPE, text=True)

    def lateness() -> float:
        process.terminate()
        return float(process.communicate()[0])

    try:
        yield lateness
    finally:
        process.kill()
        process.wait()


# --- the others -----------------------------------------------------------------------------------


@contextmanager
def nchan(folder: Path) -> Iterator[Server]:
    """nginx with nchan: one worker, publishing at /publish/CHANNEL, reading at /events/CHANNEL."""
    port = free_port()
    with nginx(folder, _NCHAN.format(port=port), modules=f"load_module {NCHAN_MODULE};") as process:
        yield Server(port, process)


# --- users with jobs ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reader:
    """A user with a key and accepted jobs."""

    key: str
    jobs: dict[str, str]
    """The provider's id of each job, by ours."""
    cursor: Cursor
    """Where the user's log was before the events that `fill` added."""

    @property
    def headers(self) -> str:
        return f"API-KEY: {self.key}\r\n"

    @property
    def resuming(self) -> str:
        return f"{self.headers}Last-Event-ID: {self.cursor}\r\n"


async def fill(database: Path, users: int, *, jobs: int = 1, events: int = 0) -> list[Reader]:
    """Make so many users, so many jobs of each, and so many more events of each job."""
    store = await open_store(f"sqlite:///{database}")
    try:
        ids = Ids(os.urandom)
        places = asyncio.Semaphore(200)  # the store refuses when too many writes wait

        async def one(index: int) -> Reader:
            async with places:
                return await _reader(store, ids, index, jobs, events)

        return await asyncio.gather(*map(one, range(users)))
    finally:
        await store.close()


async def _reader(store: Store, ids: Ids, index: int, jobs: int, events: int) -> Reader:
    key = f"rk_{index:043d}"
    row = ApiKey(hash_key(key), key[:11], 0, f"user-{index}", False, NOW, None)
    user = await store.keys.add(row, "whsec_" + "A" * 32)
    names = [f"up-{index}-{job}" for job in range(jobs)]
    made = {await accepted_job(store, ids, user, name): name for name in names}
    cursor, _, _ = await store.events.snapshot_for_user(user.id, 1)
    for job_id, name in made.items():
        for count in range(events):
            report = Report(Status.IN_PROGRESS, "RUNNING", None, None, f"step {count}", name)
            said = Polled(NOW, name, StatusReport(report))
            decide = deciding(said, SystemClock().now, Rules(poll_min=3_600_000))
            await store.jobs.advance(job_id, decide)
    return Reader(key, made, cursor)


class Callbacks:
    """Requests that are each one new event of a reader's jobs, taken in turns."""

    def __init__(self) -> None:
        self._tokens = CallbackTokens([SECRET])
        self._count = 0

    def next(self, reader: Reader, padding: str = "") -> bytes:
        """As it goes over the wire."""
        path, body = self.parts(reader, padding)
        return request("POST", path, body, "Content-Type: application/json\r\n")

    def parts(self, reader: Reader, padding: str = "") -> tuple[str, bytes]:
        """Path and body."""
        self._count += 1
        job_id = list(reader.jobs)[self._count % len(reader.jobs)]
        body = (
            f'{{"request_id":"{reader.jobs[job_id]}","status":"IN_PROGRESS",'
            f'"message":"step {self._count} {padding}"}}'
        ).encode()
        return f"/webhooks/samsar/{self._tokens.sign('samsar', job_id)}", body
