"""Event streams read by third-party clients, directly and through proxies.

Each event has to reach the client before the next one is made. So a proxy that buffers fails the
test.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.http_api.event_stream import event_stream
from tests.streams.cutting_proxy import cutting_proxy
from tests.streams.scripted_job import COMPLETED, HEARTBEAT, accepted_job
from tests.streams.sse_clients import CLIENT, Command, client, eventsource
from tests.support.nginx import needs_nginx, nginx
from tests.support.ports import free_port
from tests.support.service import wait_for_job

long = pytest.mark.long
IDLE = 2.0
"""A proxy's idle timeout: four heartbeats here, as with the defaults of 60 s and 15 s.
docs/operating.md asks for at least 20 s."""


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
    """nginx with its simplest configuration: HTTP/1.0 to the service, and buffering."""
    async with _behind_nginx(f"proxy_pass {server};", folder) as url:
        yield url


@asynccontextmanager
async def nginx_keep_alive(server: str, folder: Path) -> AsyncIterator[str]:
    """nginx with HTTP/1.1 to the service over keep-alive connections."""
    directives = f'proxy_pass {server}; proxy_http_version 1.1; proxy_set_header Connection "";'
    async with _behind_nginx(directives, folder) as url:
        yield url


@asynccontextmanager
async def _behind_nginx(directives: str, folder: Path) -> AsyncIterator[str]:
    needs_nginx()
    port = free_port()
    location = f"location / {{ {directives} proxy_read_timeout {int(IDLE * 1000)}ms; }}"
    with nginx(folder, f"server {{ listen 127.0.0.1:{port}; {location} }}"):
        yield f"http://127.0.0.1:{port}"


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
            await job.callback(status="IN_PROGRESS", progress=progress)
            name, later, update = await reading.next()
            seq += 1
            assert (name, update["progress"], update["seq"]) == ("update", progress, seq)
            assert later not in ("-", cursor)
            cursor = later
        # Only heartbeats, for longer than a proxy waits for bytes.
        await asyncio.sleep(2 * HEARTBEAT if way is straight else 1.5 * IDLE)
        await job.callback(**COMPLETED)
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
        looking = job.service.client(job.key)
        for round_ in range(2):
            proxy.cut()
            for step in range(3):
                message = f"{round_}.{step}"
                await job.callback(status="IN_PROGRESS", message=message)
                await wait_for_job(looking, job.request_id, message=message)  # one event for each
            for _ in range(3):
                name, _, update = await reading.next()
                assert name == "update"
                seqs.append(update["seq"])
        await job.callback(**COMPLETED)
        assert (await reading.next())[0] == "update"
        assert (await reading.next())[0] == "done"
        assert await reading.ended() == 0
        assert seqs == [*range(seqs[0], seqs[0] + 7)]
        assert proxy.connections == 3


async def test_a_connection_serves_on_after_its_stream(tmp_path: Path) -> None:
    """HTTP/1.1 keep-alive: the stream's end is the end of an answer, and not of the connection."""
    async with accepted_job(tmp_path) as job, cutting_proxy(job.service.url, 30) as proxy:
        async with httpx.AsyncClient(
            base_url=proxy.url, headers={"API-KEY": job.key}, trust_env=False
        ) as caller:
            async with event_stream(caller, job.path) as stream:
                (snapshot,) = await stream.events(1)
                await job.callback(**COMPLETED)
                *_, done = await stream.rest()
            assert done.event == "done"
            assert (await caller.get(f"/v1/jobs/{job.request_id}")).json()["done"]
            again = await caller.get(job.path, headers={"Last-Event-ID": snapshot.id or ""})
            assert again.text.count("event: update") == 1
            assert (await caller.get("/livez")).status_code == 200
        assert proxy.connections == 1
