"""Event streams read by third-party clients, directly and through proxies.

Each event has to reach the client before the next one is made. So a proxy that buffers fails the
test.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from tests.streams.cutting_proxy import cutting_proxy
from tests.streams.scripted_job import COMPLETED, HEARTBEAT, accepted_job
from tests.streams.sse_clients import CLIENT, Command, client

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


Way = Callable[[str, Path], AbstractAsyncContextManager[str]]
WAY = pytest.mark.parametrize("way", [straight, idle_cut])


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
