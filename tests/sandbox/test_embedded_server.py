"""A server within a running event loop: it handles no signals, and no client keeps it running."""

import asyncio
import signal

import httpx
import pytest

from receiver.clock import SystemClock
from receiver.sandbox.faults import SandboxRules
from receiver.sandbox.run import sandbox
from tests.sandbox.conftest import SAMSAR
from tests.support.service import MOVIE, TIMEOUT


async def test_it_stops_while_submissions_hang_and_callbacks_wait() -> None:
    rules = SandboxRules(render_seconds=3600, submit_timeouts=1)
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        async with sandbox(rules, SystemClock(), SAMSAR) as base_url:
            body = {"input": MOVIE, "webhookUrl": "http://127.0.0.1:1/x"}
            url = f"{base_url}/v1/video/create_movie"
            hanging = [
                asyncio.create_task(client.post(url, json=body, headers={"API-KEY": "k"}))
                for _ in range(3)
            ]
            async with asyncio.timeout(TIMEOUT):
                while (await client.get(f"{base_url}/sandbox/stats")).json()["jobs"] < 3:
                    continue
            stopping_at = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - stopping_at < 10
        for outcome in await asyncio.gather(*hanging, return_exceptions=True):
            assert isinstance(outcome, httpx.NetworkError | httpx.RemoteProtocolError)
        with pytest.raises(httpx.ConnectError):
            await client.get(base_url)


async def test_it_leaves_signals_alone() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    async with sandbox(SandboxRules(), SystemClock(), SAMSAR):
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
