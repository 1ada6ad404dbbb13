"""Event streams in the hands of clients that nobody here wrote, straight and through proxies.

Each client is a program that prints the events that it has seen (tests/streams/clients). An event
has to reach it before the next one is made: what a proxy buffers is late, and fails here.
"""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from receiver.http_server import listen
from tests.http_api.event_stream import event_stream
from tests.http_api.scripted_provider import ScriptedProvider, call_back, scripted_provider
from tests.nginx import needs_nginx, nginx
from tests.service import PATIENCE, RunningService, job_when, running_service, submit
from tests.streams.cutting_proxy import cutting_proxy

CLIENTS = Path(__file__).with_name("clients")
COMPLETED = {"status": "COMPLETED", "result": {"videoUrl": "https://cdn.example/v.mp4"}}
HEARTBEAT, IDLE = 0.5, 2.0
"""A proxy's patience is four heartbeats here; by the defaults it is 60 s and 15 s, or 20 s."""


# --- the service, and a job in it -----------------------------------------------------------------


@dataclass
class Job:
    """A job that the provider has accepted, and whose news are the test's."""

    service: RunningService
    key: str
    request_id: str
    callbacks: str

    @property
    def path(self) -> str:
        return f"/v1/jobs/{self.request_id}/events"

    async def tell(self, **body: Any) -> None:
        answer = await call_back(self.callbacks, body)
        assert answer.status_code == 200


@asynccontextmanager
async def accepted_job(folder: Path) -> AsyncIterator[Job]:
    async with (
        scripted_provider() as provider,
        running_service(
            folder, **provider.settings(), confirm_callbacks=False, stream_heartbeat=HEARTBEAT
        ) as service,
    ):
        yield await _accepted(service, provider)


async def _accepted(service: RunningService, provider: ScriptedProvider) -> Job:
    key = await service.key()
    client = service.client(key)
    request_id = (await submit(client))["request_id"]
    address = (await provider.submitted()).webhook_url
    await job_when(client, request_id, phase="accepted")
    return Job(service, key, request_id, address)


# --- the clients ----------------------------------------------------------------------------------


@dataclass
class Client:
    """A client's process, and what it prints."""

    process: asyncio.subprocess.Process
    updates: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    async def next(self) -> tuple[str, str, dict[str, Any]]:
        """The next event: its name, its id, its data."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            line = (await self.process.stdout.readline()).decode()
        assert line, "the client has ended"
        name, cursor, data = line.split(" ", 2)
        return name, cursor, json.loads(data)

    async def ended(self) -> int:
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()


@asynccontextmanager
async def client(command: list[str], url: str, key: str) -> AsyncIterator[Client]:
    process = await asyncio.create_subprocess_exec(
        *command, url, key, stdout=asyncio.subprocess.PIPE, limit=1 << 20, start_new_session=True
    )
    try:
        yield Client(process)
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def curl(_: Path) -> list[str]:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed here")
    return ["sh", str(CLIENTS / "curl.sh")]


def httpx_sse(_: Path) -> list[str]:
    return [sys.executable, str(CLIENTS / "httpx_sse_client.py")]


def eventsource(folder: Path) -> list[str]:
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed here")
    shutil.copytree(CLIENTS, folder / "clients")
    install = ["npm", "install", "--no-audit", "--no-fund", "--silent"]
    if subprocess.run(install, check=False, cwd=folder / "clients", timeout=120).returncode:
        pytest.skip("npm could not install eventsource")
    return ["node", str(folder / "clients" / "eventsource.cjs")]


Command = Callable[[Path], list[str]]
long = pytest.mark.long
CLIENT = pytest.mark.parametrize(
    "command", [curl, httpx_sse, pytest.param(eventsource, marks=long)]
)


# --- the ways to it -------------------------------------------------------------------------------


@asynccontextmanager
async def straight(server: str, _: Path) -> AsyncIterator[str]:
    yield server


@asynccontextmanager
async def idle_cut(server: str, _: Path) -> AsyncIterator[str]:
    async with cutting_proxy(server, IDLE) as proxy:
        yield proxy.url
        assert proxy.cut_idle == 0


@asynccontextmanager
async def nginx_by_default(server: str, folder: Path) -> AsyncIterator[str]:
    """What its simplest configuration does: HTTP/1.0 to the service, and buffering."""
    async with _behind_nginx(f"proxy_pass {server};", folder) as url:
        yield url


@asynccontextmanager
async def nginx_keep_alive(server: str, folder: Path) -> AsyncIterator[str]:
    """HTTP/1.1 to the service on kept connections."""
    directives = f'proxy_pass {server}; proxy_http_version 1.1; proxy_set_header Connection "";'
    async with _behind_nginx(directives, folder) as url:
        yield url


@asynccontextmanager
async def _behind_nginx(directives: str, folder: Path) -> AsyncIterator[str]:
    needs_nginx()
    port = _free_port()
    location = f"location / {{ {directives} proxy_read_timeout {int(IDLE * 1000)}ms; }}"
    with nginx(folder, f"server {{ listen 127.0.0.1:{port}; {location} }}"):
        yield f"http://127.0.0.1:{port}"


def _free_port() -> int:
    with listen("127.0.0.1", 0) as probe:
        return int(probe.getsockname()[1])


Way = Callable[[str, Path], AbstractAsyncContextManager[str]]
WAY = pytest.mark.parametrize(
    "way",
    [
        straight,
        idle_cut,
        pytest.param(nginx_by_default, marks=long),
        pytest.param(nginx_keep_alive, marks=long),
    ],
)


# --- the tests ------------------------------------------------------------------------------------


@CLIENT
@WAY
async def test_each_event_reaches_the_client_before_the_next(
    tmp_path: Path, command: Command, way: Way
) -> None:
    program = command(tmp_path)
    async with (
        accepted_job(tmp_path) as job,
        way(job.service.url, tmp_path) as url,
        client(program, url + job.path, job.key) as reading,
    ):
        name, cursor, snapshot = await reading.next()
        assert (name, snapshot["phase"]) == ("snapshot", "accepted")
        seq = snapshot["seq"]
        for progress in (10, 20, 30):
            await job.tell(status="IN_PROGRESS", progress=progress)
            name, later, update = await reading.next()
            seq += 1
            assert (name, update["progress"], update["seq"]) == ("update", progress, seq)
            assert later not in ("-", cursor)
            cursor = later
        # Nothing but heartbeats, for longer than whoever is in between would wait for bytes.
        await asyncio.sleep(2 * HEARTBEAT if way is straight else 1.5 * IDLE)
        await job.tell(**COMPLETED)
        name, _, update = await reading.next()
        assert (name, update["status"], update["seq"]) == ("update", "COMPLETED", seq + 1)
        name, _, last = await reading.next()
        assert name == "done"
        assert last == {"request_id": job.request_id, "status": "COMPLETED"}
        assert await reading.ended() == 0


@long
@pytest.mark.parametrize("command", [eventsource])
async def test_an_eventsource_that_is_cut_misses_nothing(tmp_path: Path, command: Command) -> None:
    program = command(tmp_path)
    async with (
        accepted_job(tmp_path) as job,
        cutting_proxy(job.service.url, 30) as proxy,
        client(program, proxy.url + job.path, job.key) as reading,
    ):
        _, _, snapshot = await reading.next()
        seqs = [snapshot["seq"]]
        for round_ in range(2):
            proxy.cut()
            for step in range(3):
                await job.tell(status="IN_PROGRESS", message=f"{round_}.{step}")
            for _ in range(3):
                name, _, update = await reading.next()
                assert name == "update"
                seqs.append(update["seq"])
        await job.tell(**COMPLETED)
        assert (await reading.next())[0] == "update"
        assert (await reading.next())[0] == "done"
        assert await reading.ended() == 0
        assert seqs == [*range(seqs[0], seqs[0] + 7)]
        assert proxy.connections == 3


async def test_a_connection_serves_on_after_its_stream(tmp_path: Path) -> None:
    """HTTP/1.1 keep-alive: the end of a stream is the end of an answer, not of the connection."""
    async with accepted_job(tmp_path) as job, cutting_proxy(job.service.url, 30) as proxy:
        async with httpx.AsyncClient(
            base_url=proxy.url, headers={"API-KEY": job.key}, trust_env=False
        ) as caller:
            async with event_stream(caller, job.path) as stream:
                (snapshot,) = await stream.events(1)
                await job.tell(**COMPLETED)
                *_, done = await stream.rest()
            assert done.event == "done"
            assert (await caller.get(f"/v1/jobs/{job.request_id}")).json()["done"]
            again = await caller.get(job.path, headers={"Last-Event-ID": snapshot.id or ""})
            assert again.text.count("event: update") == 1
            assert (await caller.get("/livez")).status_code == 200
        assert proxy.connections == 1
