"""A sandbox and a receiver of its callbacks, each on its own port. Tests advance the time."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from receiver.providers.samsar.rules import InputRules
from receiver.providers.samsar.simulator import SamsarApi
from receiver.simulator.faults import SimulatorRules
from receiver.simulator.run import simulator
from tests.http_api.relay_sink import Sink, relay_sink
from tests.support.manual_clock import ManualClock
from tests.support.service import MOVIE, TIMEOUT

MOVIE_PATH = "/v1/video/create_movie"
STATUS_PATH = "/v1/video/status"


def samsar(api_key: str | None = None) -> SamsarApi:
    return SamsarApi(InputRules(["IMAGEN3"], ["LUMA"]), api_key)


class BlockingClock(ManualClock):
    """Moves only by `advance`: a sleep waits for that."""

    def __init__(self) -> None:
        super().__init__()
        self._moved = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        until = self.monotonic() + seconds
        while self.monotonic() < until:
            await self._moved.wait()

    def advance(self, seconds: float) -> None:
        super().advance(seconds)
        self._moved.set()
        self._moved = asyncio.Event()


@dataclass
class Sandbox:
    """A running sandbox, and the receiver of its callbacks."""

    client: httpx.AsyncClient
    """Sends a key."""
    clock: BlockingClock
    sink: Sink

    async def submit(self, webhook_url: str = "") -> httpx.Response:
        """Submit a movie, by default with a webhook URL of the receiver."""
        body = {"input": MOVIE, "webhookUrl": webhook_url or f"{self.sink.url}/token"}
        return await self.client.post(MOVIE_PATH, json=body)

    async def made(self, webhook_url: str = "") -> str:
        """Submit a movie; returns its job's id."""
        answer = await self.submit(webhook_url)
        assert answer.status_code == 200
        return str(answer.json()["request_id"])

    async def status(self, request_id: str) -> dict[str, Any]:
        answer = await self.client.get(STATUS_PATH, params={"request_id": request_id})
        assert answer.status_code == 200
        return dict(answer.json())

    async def called_back(self, count: int = 1) -> list[dict[str, Any]]:
        """The next `count` callbacks."""
        arrived = await self.sink.arrived(count)
        taken, arrived[:count] = arrived[:count], []
        return [json.loads(each.body) for each in taken]

    async def jobs(self) -> list[dict[str, Any]]:
        """Every job that it has received."""
        return list((await self.client.get("/sandbox")).json()["jobs"])

    async def until_counted(self, **expected: int) -> None:
        """Wait until its counts of callbacks have these values."""
        async with asyncio.timeout(TIMEOUT):
            while not (await self.client.get("/sandbox")).json()["callbacks"].items() >= (
                expected.items()
            ):
                continue


Start = Callable[..., Awaitable[Sandbox]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts a sandbox with the given rules."""
    async with AsyncExitStack() as stack:

        async def start(api_key: str | None = None, **rules: Any) -> Sandbox:
            clock = BlockingClock()
            sink = await stack.enter_async_context(relay_sink())
            rules = {"render_seconds": 10, "seed": 1} | rules
            base_url = await stack.enter_async_context(
                simulator(SimulatorRules(**rules), clock, samsar(api_key))
            )
            client = await stack.enter_async_context(
                httpx.AsyncClient(base_url=base_url, headers={"API-KEY": "secret"}, trust_env=False)
            )
            return Sandbox(client, clock, sink)

        yield start
