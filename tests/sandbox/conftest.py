"""A sandbox and a receiver of its callbacks, each on its own port; tests advance the time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from receiver.providers.samsar import InputRules
from receiver.sandbox.faults import SandboxRules
from receiver.sandbox.run import sandbox
from receiver.sandbox.samsar import SamsarApi
from tests.support.served import served
from tests.support.service import TIMEOUT

SAMSAR = partial(
    SamsarApi,
    input_rules=InputRules(
        image_models=frozenset({"IMAGEN3", "FLUX1.1PRO"}),
        video_models=frozenset({"LUMA", "KLINGIMGTOVIDPRO"}),
    ),
)


class HandClock:
    """Time that moves by `advance` alone."""

    def __init__(self) -> None:
        self._seconds = 1000.1
        self._moved = asyncio.Event()

    def now(self) -> int:
        return 1_700_000_000_000 + int(self._seconds * 1000)

    def monotonic(self) -> float:
        return self._seconds

    async def sleep(self, seconds: float) -> None:
        until = self._seconds + seconds
        while self._seconds < until:
            await self._moved.wait()

    def advance(self, seconds: float) -> None:
        self._seconds += seconds
        self._moved.set()
        self._moved = asyncio.Event()


class Sink:
    """Keeps the bodies of what is POSTed to `url`."""

    def __init__(self, url: str, bodies: "asyncio.Queue[dict[str, Any]]") -> None:
        self.url = url
        self._bodies = bodies

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(TIMEOUT):
            return await self._bodies.get()

    def is_empty(self) -> bool:
        return self._bodies.empty()


Start = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def start(clock: HandClock) -> AsyncIterator[Start]:
    """Starts a sandbox by the given rules; gives a client of it that sends a key."""
    async with AsyncExitStack() as stack:

        async def start(api_key: str | None = None, **rules: Any) -> httpx.AsyncClient:
            rules = {"render_seconds": 10, "seed": 1} | rules
            base_url = await stack.enter_async_context(
                sandbox(SandboxRules(**rules), clock, partial(SAMSAR, api_key=api_key))
            )
            client = httpx.AsyncClient(
                base_url=base_url, headers={"API-KEY": "secret"}, trust_env=False
            )
            return await stack.enter_async_context(client)

        yield start


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    bodies: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def take(request: Request) -> Response:
        bodies.put_nowait(await request.json())
        return Response()

    app = Starlette(routes=[Route("/webhooks/samsar/token", take, methods=["POST"])])
    async with served(app) as url:
        yield Sink(f"{url}/webhooks/samsar/token", bodies)


@pytest.fixture
def movie() -> dict[str, Any]:
    return {
        "prompt": "A lighthouse & <the> sea",
        "image_model": "IMAGEN3",
        "video_model": "LUMA",
        "duration": 30,
        "aspect_ratio": "9:16",
    }
