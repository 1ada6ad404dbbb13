"""A server inside a running loop: it takes no signals, and ends whatever its clients do."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from receiver.clock import SystemClock
from receiver.http_server import listen, origin, serving
from receiver.sandbox.rules import SandboxRules
from receiver.sandbox.run import sandbox
from tests.sandbox.conftest import INPUT_RULES
from tests.service import PATIENCE


async def test_it_stops_while_submissions_hang_and_callbacks_wait(movie: dict[str, Any]) -> None:
    rules = SandboxRules(render_seconds=3600, submit_timeouts=1)
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        async with sandbox(rules, SystemClock(), INPUT_RULES) as base_url:
            body = {"input": movie, "webhookUrl": "http://127.0.0.1:1/x"}
            url = f"{base_url}/v1/video/create_movie"
            hanging = [
                asyncio.create_task(client.post(url, json=body, headers={"API-KEY": "k"}))
                for _ in range(3)
            ]
            async with asyncio.timeout(PATIENCE):
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
    async with sandbox(SandboxRules(), SystemClock(), INPUT_RULES):
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


async def test_a_lifespan_that_fails_is_told_to_the_caller() -> None:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        Path("/nowhere/at/all").read_text()
        yield

    with listen("127.0.0.1", 0) as listener, pytest.raises(RuntimeError, match="did not start"):
        async with serving(Starlette(lifespan=lifespan), listener):
            pass


async def test_a_port_in_use_is_told_to_the_caller() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = int(origin(taken).rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            async with sandbox(SandboxRules(), SystemClock(), INPUT_RULES, port=port):
                pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_process_of_its_own_ends_with_zero(number: signal.Signals) -> None:
    program = """
import asyncio
from receiver.clock import SystemClock
from receiver.providers.samsar_input import InputRules
from receiver.sandbox.rules import SandboxRules
from receiver.sandbox.run import run_sandbox
asyncio.run(run_sandbox(SandboxRules(), SystemClock(), InputRules(frozenset(), frozenset()),
    api_key=None, host="127.0.0.1", port=0, on_start=lambda url: print(url, flush=True)))
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    base_url = (await process.stdout.readline()).decode().strip()
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(base_url)).status_code == 200
    process.send_signal(number)
    _, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")
