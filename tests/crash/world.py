"""A service that may die at any moment, and surroundings that record every answer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from itertools import count, takewhile
from pathlib import Path
from typing import Any, TypeAlias

import httpx

from receiver.engine.submissions import USER_PAUSES
from receiver.simulator.faults import SimulatorRules
from tests.crash.processes import Service, caller
from tests.crash.surroundings import Provider, Reader, Receipt, Sink, movie, provider, reader, sink
from tests.support.service import eventually

RETRY_PAUSE = 0.05
FINISH_TIMEOUT = 60.0

Unfinished: TypeAlias = tuple[list[dict[str, Any]], list[dict[str, Any]]]
"""The pending webhook messages, and all jobs."""
QUICK = {
    "SUBMIT_WAIT": "1",
    "SUBMIT_TIMEOUT": "5",
    "UNCONFIRMED_DEADLINE": "4",
    "POLL_FIRST": "0.5",
    "POLL_MIN": "0.3",
    "POLL_MAX": "1",
    "POLL_RATE": "300",
    "CONFIRM_TIMEOUT": "20",
    "RELAY_SCHEDULE": "0," + ",".join(["0.3"] * 40),
    "RELAY_TIMEOUT": "3",
    "RELAY_ALLOW_HTTP": "true",
    "RELAY_ALLOW_NETS": "127.0.0.0/8",
    "STREAM_HEARTBEAT": "5",
}
"""Settings that shorten a job's life from minutes to seconds."""


@dataclass(frozen=True, slots=True)
class Order:
    """A submission that a client wants made once, however often it has to retry."""

    key: str
    path: str
    body: dict[str, Any]


@dataclass
class World:
    """The service and its surroundings."""

    service: Service
    provider: Provider
    sink: Sink
    client: httpx.AsyncClient
    reader: Reader
    orders: dict[str, Order] = field(default_factory=dict)
    acknowledged: dict[str, str] = field(default_factory=dict)
    """By the order's idempotency key: the request_id in its answer."""

    def order(self) -> Order:
        """A new order. Every third uses the drop-in route, the others `POST /v1/jobs`."""
        number = len(self.orders)
        drop_in = number % 3 == 2
        body: dict[str, Any] = {
            "input": movie(f"job {number}"),
            "webhookUrl": self.sink.url,
            "webhookEvents": ["IN_PROGRESS", "progress", "COMPLETED", "FAILED", "CANCELLED"],
        }
        order = Order(
            f"order-{number}",
            "/v1/video/create_movie" if drop_in else "/v1/jobs",
            body if drop_in else body | {"kind": "create_movie"},
        )
        self.orders[order.key] = order
        return order

    async def submit(self, order: Order | None = None) -> str:
        """Submit an order, with retries until there is an answer; returns the job's request_id."""
        order = order or self.order()
        request_id = await self.ask(order)
        self.acknowledged[order.key] = request_id
        return request_id

    async def submit_all(
        self, jobs: Iterable[object], clients: int, waiting: Callable[[], Awaitable[object]]
    ) -> None:
        """Create these jobs with several clients, each of which awaits `waiting` before each
        job."""
        left = iter(jobs)

        async def client() -> None:
            for _ in left:
                await waiting()
                await self.submit()

        await asyncio.gather(*(client() for _ in range(clients)))

    @contextlib.asynccontextmanager
    async def under_load(
        self, clients: int, waiting: Callable[[], Awaitable[object]]
    ) -> AsyncIterator[None]:
        """Several clients submit job after job until the block is left, as in `submit_all`; each
        then waits for its last answer."""
        over = asyncio.Event()
        jobs = takewhile(lambda _: not over.is_set(), count())
        submitting = asyncio.create_task(self.submit_all(jobs, clients, waiting))
        try:
            yield
            over.set()
            await submitting
        finally:
            submitting.cancel()

    async def post(self, order: Order) -> httpx.Response:
        """Send an order once."""
        key = {"Idempotency-Key": order.key}
        return await self.client.post(order.path, json=order.body, headers=key)

    async def ask(self, order: Order) -> str:
        """Send an order until it is answered; returns its job's request_id."""
        while True:
            with contextlib.suppress(httpx.TransportError):
                answer = await self.post(order)
                if answer.status_code in (200, 202):
                    return str(answer.json()["request_id"])
                assert answer.status_code in (409, 503), answer.text
                assert "Retry-After" in answer.headers
            await asyncio.sleep(RETRY_PAUSE)

    async def get(self, path: str, **query: str | int) -> Any:
        """A document of a running service. It may answer 503 shortly after its database was away,
        and is then asked again, as any client would."""
        ask = partial(self.client.get, path, params=query)
        answer = await eventually(ask, lambda answer: answer.status_code != 503, path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def job(self, request_id: str) -> dict[str, Any]:
        return dict(await self.get(f"/v1/jobs/{request_id}"))

    async def history(self, request_id: str) -> list[dict[str, Any]]:
        return list((await self.get(f"/v1/jobs/{request_id}/history"))["history"])

    async def all_jobs(self) -> list[dict[str, Any]]:
        """Every job of this user."""
        jobs: list[dict[str, Any]] = []
        query: dict[str, str | int] = {"limit": 200}
        while True:
            page = await self.get("/v1/jobs", **query)
            jobs += page["jobs"]
            if page["next_cursor"] is None:
                return jobs
            query["cursor"] = page["next_cursor"]

    async def finish(self) -> list[dict[str, Any]]:
        """Wait until the provider has sent every callback, every job has ended, and its webhooks
        have been delivered; returns the jobs."""
        await eventually(
            self.provider.callbacks_to_come, lambda seen: seen == (0, 0), timeout=FINISH_TIMEOUT
        )

        async def look() -> Unfinished:
            page = await self.get("/v1/deliveries", state="pending", limit=200)
            return page["deliveries"], await self.all_jobs()

        def over(seen: Unfinished) -> bool:
            pending, jobs = seen
            events = sum(job["seq"] for job in jobs)
            return (
                all(job["done"] for job in jobs)
                and not pending
                and len(self.reader.updates) >= events
            )

        # Refusals in a row pause a user's submissions for 1, 2, 4 … 60 s. The
        # sandbox counts its refusals, so waiting does not end them, as it would at a provider: one
        # world of kills in 600 waits for more than six minutes, and one in 1,000 for more than 15.
        timeout = FINISH_TIMEOUT + 12 * USER_PAUSES.longest + len(self.orders) / 20
        _, jobs = await eventually(look, over, timeout=timeout)
        return jobs

    def accepted(self) -> list[Receipt]:
        """Every callback that the service acknowledged as new."""
        return [receipt for receipt in self.provider.callbacks.receipts if receipt.accepted]


@contextlib.asynccontextmanager
async def running_world(
    folder: Path, rules: SimulatorRules, **settings: str
) -> AsyncIterator[World]:
    """Run a service with its surroundings; it may be killed and restarted."""
    async with contextlib.AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(provider(rules))
        service = Service(folder, upstream.settings | QUICK | settings)
        await stack.enter_async_context(service)
        credentials = await service.make_key()
        hooks = await stack.enter_async_context(sink(credentials["secret"]))
        client = await stack.enter_async_context(caller(service, credentials["key"]))
        await service.start()
        follower = await stack.enter_async_context(reader(client))
        yield World(service, upstream, hooks, client, follower)
