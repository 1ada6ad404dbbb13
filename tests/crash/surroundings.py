"""The service's surroundings, which stay alive while it dies: the provider, readers of event
streams, and a webhook endpoint. Each records what it has seen; none looks into the database."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
from httpx_sse import EventSource
from starlette.responses import Response

from receiver.clock import SystemClock
from receiver.providers.samsar.rules import InputRules
from receiver.providers.samsar.simulator import SamsarApi
from receiver.simulator.faults import SimulatorRules
from receiver.simulator.run import simulator
from tests.http_api.relay_sink import Message, relay_sink
from tests.support.service import MOVIE

CALLBACKS = 4
"""How many callbacks the sandbox sends for a job if none is lost or doubled."""


def movie(title: str) -> dict[str, Any]:
    """An input that no other job has, so that the provider can tell jobs apart."""
    return MOVIE | {"prompt": title}


# --- the provider ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Receipt:
    """A callback that the service answered."""

    provider_request_id: str
    size: int
    status_code: int
    answer: bytes

    @property
    def accepted(self) -> bool:
        """Whether the service acknowledged it as a new callback."""
        return (self.status_code, self.answer) == (200, b'{"status":"accepted"}')


class _Callbacks(httpx.AsyncHTTPTransport):
    """Delivers the sandbox's callbacks, and records the answers."""

    def __init__(self) -> None:
        super().__init__(verify=False, limits=httpx.Limits(max_keepalive_connections=0))
        self.receipts: list[Receipt] = []
        self.under_way = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.under_way += 1
        try:
            response = await super().handle_async_request(request)
            content = await response.aread()
            await response.aclose()
        finally:
            self.under_way -= 1
        name = json.loads(request.content)["request_id"]
        self.receipts.append(Receipt(name, len(request.content), response.status_code, content))
        return httpx.Response(response.status_code, content=content)


@dataclass
class Provider:
    """The sandbox, on a port of its own, outside the service."""

    url: str
    callbacks: _Callbacks

    @property
    def settings(self) -> dict[str, str]:
        """Settings that make the service use this provider."""
        return {
            "PROVIDER": "samsar",
            "SAMSAR_BASE_URL": self.url + SamsarApi.path,
            "SAMSAR_API_KEY": "operator",
        }

    async def jobs(self) -> list[dict[str, Any]]:
        """Every job that the provider has received."""
        return list((await self._page())["jobs"])

    async def submissions(self) -> Counter[str]:
        """How often each prompt was submitted: more than once means paid twice."""
        return Counter(job["input"]["prompt"] for job in await self.jobs())

    async def callbacks_to_come(self) -> tuple[int, int]:
        """How many callbacks are still to be sent, without copies, and how many are being sent."""
        counts, jobs = await self.sent_callbacks(), await self.jobs()
        begun = counts["sent"] - counts["duplicated"] + counts["dropped"]
        return CALLBACKS * len(jobs) - begun, self.callbacks.under_way

    async def sent_callbacks(self) -> Counter[str]:
        """How many callbacks were sent (copies included), dropped and duplicated."""
        return Counter((await self._page())["callbacks"])

    async def _page(self) -> Any:
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(f"{self.url}/sandbox")).json()


@contextlib.asynccontextmanager
async def provider(rules: SimulatorRules) -> AsyncIterator[Provider]:
    """Run the sandbox until the block is left."""
    models = InputRules([MOVIE["image_model"]], [MOVIE["video_model"]])
    callbacks, api = _Callbacks(), SamsarApi(models)
    async with simulator(rules, SystemClock(), api, callback_transport=callbacks) as url:
        yield Provider(url, callbacks)


# --- the user's webhook endpoint ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Arrival:
    """A webhook that arrived with a valid signature."""

    message_id: str
    body: dict[str, Any]
    answered: int


@dataclass
class Sink:
    """The endpoint behind `webhookUrl`. It fails now and then, so that there are retries."""

    url: str
    arrivals: list[Arrival] = field(default_factory=list)


@contextlib.asynccontextmanager
async def sink(secret: str) -> AsyncIterator[Sink]:
    """Receive webhooks that are signed with the secret, until the block is left."""
    async with relay_sink() as endpoint:
        taking = Sink(endpoint.url)

        async def answer(message: Message) -> Response:
            status = 500 if len(taking.arrivals) % 7 == 3 else 200
            body = message.verified(secret)
            taking.arrivals.append(Arrival(message.id, body, status))
            return Response(status_code=status)

        endpoint.answer = answer
        yield taking


# --- a reader of a stream -------------------------------------------------------------------------


@dataclass
class Reader:
    """Follows a user's stream through every death of the service, by Last-Event-ID."""

    client: httpx.AsyncClient
    cursor: str | None = None
    updates: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """The id and the job of each update, in order of arrival."""
    connections: int = 0
    ended: int = 0
    """How many jobs it has seen end; a corrected job counts twice."""
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once it has a cursor: from then on it must receive everything that happens."""

    async def follow(self) -> None:
        """Read until cancelled."""
        while True:
            with contextlib.suppress(httpx.TransportError):
                await self._read_once()
            await asyncio.sleep(0.02)

    async def _read_once(self) -> None:
        headers = {} if self.cursor is None else {"Last-Event-ID": self.cursor}
        async with self.client.stream("GET", "/v1/events", headers=headers) as response:
            if response.status_code == 503:
                return
            response.raise_for_status()
            self.connections += 1
            async for event in EventSource(response).aiter_sse():
                match event.event:
                    case "snapshot":
                        assert self.cursor is None, "a resumed stream sent a second snapshot"
                    case "update":
                        self.updates.append((event.id, job := event.json()))
                        self.ended += job["done"]
                    case "reset":
                        raise AssertionError("the service has lost a cursor")
                    case _:
                        continue  # `retry:` lines and comments
                self.cursor = event.id
                self.begun.set()


@contextlib.asynccontextmanager
async def reader(client: httpx.AsyncClient) -> AsyncIterator[Reader]:
    """Follow all jobs of the client's user until the block is left, which raises any error of the
    reading."""
    follower = Reader(client)
    following = asyncio.create_task(follower.follow())
    begun = asyncio.create_task(follower.begun.wait())
    await asyncio.wait({following, begun}, return_when=asyncio.FIRST_COMPLETED)
    try:
        yield follower
    finally:
        for task in (following, begun):
            task.cancel()
        ends = await asyncio.gather(following, begun, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception):
            raise end
