"""SIGTERM with open streams, waiting requests and submissions in flight: a clean exit, in time."""

import asyncio
from pathlib import Path

import httpx
import pytest

from receiver.cli.serve import END_SECONDS
from receiver.simulator.faults import SimulatorRules
from tests.crash.processes import Service, started
from tests.crash.surroundings import Provider, movie, provider
from tests.crash.world import QUICK
from tests.support.postgres_server import PostgresServer
from tests.support.service import eventually

STREAMS = 5


async def test_streams_and_waiting_requests_end_at_once(tmp_path: Path) -> None:
    async with provider(SimulatorRules(render_seconds=60)) as upstream:
        service = Service(tmp_path, upstream.settings, forked=False)
        async with started(service) as client:
            seen = asyncio.Semaphore(0)
            streams = [asyncio.create_task(whole_stream(client, seen)) for _ in range(STREAMS)]
            for _ in streams:  # a snapshot after the submission would leave nothing to update
                await seen.acquire()
            waiting = asyncio.create_task(submit(client, "waits", {"Prefer": "wait=60"}))
            await reaches(upstream, jobs=1)
            for _ in streams:
                await seen.acquire()

            status, seconds = await service.terminate()

            assert status == 0
            assert seconds < 5
            answer = await waiting
            assert (answer.status_code, answer.json()["done"]) == (202, False)
            for stream in streams:
                # It was read to its end: a broken connection would have raised.
                assert "event: update" in await stream


async def submit(client: httpx.AsyncClient, title: str, headers: dict[str, str]) -> httpx.Response:
    order = {"kind": "create_movie", "input": movie(title)}
    return await client.post("/v1/jobs", json=order, headers=headers, timeout=90)


async def reaches(upstream: Provider, jobs: int) -> None:
    await eventually(upstream.jobs, lambda made: len(made) == jobs)


async def whole_stream(client: httpx.AsyncClient, seen: asyncio.Semaphore) -> str:
    """Read a stream to its end. Releases `seen` at its snapshot, and at its first update."""
    text = ""
    async with client.stream("GET", "/v1/events", timeout=90) as response:
        async for part in response.aiter_text():
            for kind in ("event: snapshot", "event: update"):
                if kind not in text and kind in text + part:
                    seen.release()
            text += part
    return text


@pytest.mark.long
async def test_a_store_that_hangs_does_not_keep_the_process(tmp_path: Path) -> None:
    with PostgresServer.running() as server:
        settings = QUICK | {"DATABASE_URL": server.url(), "SECRET_KEYS": "k" * 32}
        service = Service(tmp_path, settings, forked=False)
        async with started(service) as client:
            await submit(client, "is stored", {})
            with server.hanging():
                hangs = asyncio.create_task(submit(client, "hangs", {}))
                await asyncio.sleep(0.5)  # it waits for the store

                status, seconds = await service.terminate()

            assert status == 1
            assert seconds < END_SECONDS + 5
            assert "as if it were killed" in service.log.read_text()
            with pytest.raises(httpx.TransportError):
                await hangs
