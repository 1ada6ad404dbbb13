"""A server within a running event loop: no client keeps it running, and its jobs outlive it."""

import asyncio

import httpx
import pytest

from receiver.clock import SystemClock
from receiver.simulator.faults import SimulatorRules
from receiver.simulator.run import simulator
from tests.simulator.conftest import BlockingClock, samsar
from tests.support.service import MOVIE, TIMEOUT


async def test_it_stops_while_submissions_hang_and_callbacks_wait() -> None:
    rules = SimulatorRules(render_seconds=3600, submit_timeouts=1)
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        async with simulator(rules, SystemClock(), samsar()) as base_url:
            body = {"input": MOVIE, "webhookUrl": "http://127.0.0.1:1/x"}
            url = f"{base_url}/v1/video/create_movie"
            hanging = [
                asyncio.create_task(client.post(url, json=body, headers={"API-KEY": "k"}))
                for _ in range(3)
            ]
            async with asyncio.timeout(TIMEOUT):
                while len((await client.get(f"{base_url}/sandbox")).json()["jobs"]) < 3:
                    continue
            stopping_at = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - stopping_at < 10
        for outcome in await asyncio.gather(*hanging, return_exceptions=True):
            assert isinstance(outcome, httpx.NetworkError | httpx.RemoteProtocolError)
        with pytest.raises(httpx.ConnectError):
            await client.get(base_url)


async def test_a_job_of_an_earlier_process_goes_on_to_its_end() -> None:
    clock = BlockingClock()
    headers = {"API-KEY": "any"}
    async with httpx.AsyncClient(headers=headers, trust_env=False) as client:
        async with simulator(SimulatorRules(render_seconds=10), clock, samsar()) as first:
            made = await client.post(f"{first}/v1/video/create_movie", json={"input": MOVIE})
        async with simulator(SimulatorRules(render_seconds=10), clock, samsar()) as second:
            url = f"{second}/v1/video/status"
            clock.advance(5)
            asked = (await client.get(url, params=made.json())).json()
            assert asked == {"status": "IN_PROGRESS", "progress": 50}
            clock.advance(5)
            asked = (await client.get(url, params=made.json())).json()
            assert asked["status"] == "COMPLETED"
            assert (await client.get(asked["result"]["videoUrl"])).status_code == 200
            clock.advance(8 * 24 * 3600)
            assert (await client.get(url, params=made.json())).status_code == 404
