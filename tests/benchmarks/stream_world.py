"""Servers of event streams, ours and others', in processes of their own, and what they cost."""

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from receiver.actions.issue_key import hash_key
from receiver.domain.lifecycle import deciding
from receiver.domain.observations import Polled, Report, StatusReport
from receiver.domain.schedule import Rules
from receiver.webhooks.tokens import CallbackTokens
from store.contract import Store
from store.ids import Ids
from store.open import open_store
from store.records import ApiKey, Cursor, Status, User
from tests.benchmarks.load import request
from tests.benchmarks.peers import SECRET
from tests.benchmarks.world import NOW, Server, accepted_job, free_port

NCHAN_MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
_TICKS = os.sysconf("SC_CLK_TCK")
_NGINX = """
load_module {module};
daemon off;
worker_processes 1;
error_log stderr error;
pid {folder}/nginx.pid;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location ~ /publish/(.+)$ {{ nchan_publisher http; nchan_channel_id $1; }}
    location ~ /events/(.+)$ {{ nchan_subscriber eventsource; nchan_channel_id $1; }}
  }}
}}
"""


# --- what a process costs -------------------------------------------------------------------------


def cpu_seconds(server: Server) -> float:
    """Of the process and its children, since they began."""
    return sum(_ticks(pid) for pid in _family(server.process.pid)) / _TICKS


def memory(server: Server) -> int:
    """Bytes that the process and its children hold for themselves."""
    return sum(_private_bytes(pid) for pid in _family(server.process.pid))


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in _family(int(child)))]


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _private_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


# --- the others -----------------------------------------------------------------------------------


@contextmanager
def nchan(folder: Path) -> Iterator[Server]:
    """nginx with nchan: one worker, publishing at /publish/CHANNEL, reading at /events/CHANNEL."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(module=NCHAN_MODULE, folder=folder, port=port))
    process = subprocess.Popen(["nginx", "-c", config, "-e", "stderr"], text=True)
    try:
        _wait_until(lambda: (folder / "nginx.pid").exists())
        time.sleep(0.2)  # its worker has no way to say that it listens
        yield Server(port, process)
    finally:
        process.terminate()
        process.wait(10)


def _wait_until(there: object) -> None:
    until = time.monotonic() + 10
    assert callable(there)
    while not there():
        assert time.monotonic() < until
        time.sleep(0.02)


# --- users with jobs ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reader:
    """A user with a key and an accepted job."""

    key: str
    job_id: str
    provider_request_id: str
    cursor: Cursor
    """Where the user's log was before the events that `fill` added."""

    @property
    def headers(self) -> str:
        return f"API-KEY: {self.key}\r\n"

    @property
    def resuming(self) -> str:
        return f"{self.headers}Last-Event-ID: {self.cursor}\r\n"


async def fill(database: Path, users: int, events: int = 0) -> list[Reader]:
    """Make so many users with a job each, and so many more events of each job."""
    store = await open_store(f"sqlite:///{database}")
    try:
        ids = Ids(os.urandom)
        places = asyncio.Semaphore(500)  # the store refuses a queue without an end

        async def one(index: int) -> Reader:
            async with places:
                return await _reader(store, ids, index, events)

        return await asyncio.gather(*map(one, range(users)))
    finally:
        await store.close()


async def _reader(store: Store, ids: Ids, index: int, events: int) -> Reader:
    key = f"rk_{index:043d}"
    row = ApiKey(hash_key(key), key[:11], 0, f"user-{index}", False, NOW, None)
    user: User = await store.keys.add(row, "whsec_" + "A" * 32)
    name = f"up-{index}"
    job_id = await accepted_job(store, ids, user, name)
    cursor, _, _ = await store.events.snapshot_for_user(user.id, 1)
    for count in range(events):
        report = Report(Status.IN_PROGRESS, "RUNNING", None, None, f"step {count}", name)
        said = Polled(NOW, name, StatusReport(report))
        at = time.time_ns() // 1_000_000
        await store.jobs.advance(job_id, deciding(said, at, Rules(poll_min=3_600_000)))
    return Reader(key, job_id, name, cursor)


class Callbacks:
    """Requests that are each one new event of a reader's job."""

    def __init__(self) -> None:
        self._tokens = CallbackTokens([SECRET])
        self._count = 0

    def next(self, reader: Reader, padding: str = "") -> bytes:
        self._count += 1
        body = (
            f'{{"request_id":"{reader.provider_request_id}","status":"IN_PROGRESS",'
            f'"message":"step {self._count} {padding}"}}'
        ).encode()
        path = f"/webhooks/samsar/{self._tokens.sign('samsar', reader.job_id)}"
        return request("POST", path, body, "Content-Type: application/json\r\n")
