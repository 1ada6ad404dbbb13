"""Which requests are refused under load, and what happens to their connections."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import pytest

from receiver.http_api.limits import exempt_from_shedding
from receiver.server import load_shedding
from receiver.server.load_shedding import MAX_WAITING, STARTED_AT_ONCE, LoadShedder
from tests.http_api.raw_http import RawConnection, raw_connection
from tests.server.raw_asgi import Echo, shedder
from tests.support.asgi_server import asgi_server
from tests.support.service import TIMEOUT

POST = b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"


@dataclass
class FakeServer(Echo):
    """A server whose store is full when a test says so."""

    full: bool = False
    refused: list[tuple[str, bytes]] = field(default_factory=list)

    def connect(self) -> AbstractAsyncContextManager[RawConnection]:
        return raw_connection(self.url)


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    server = FakeServer()
    load_shedder = LoadShedder(
        exempt_from_shedding=exempt_from_shedding,
        cannot_write=lambda: server.full,
        on_refusal=lambda method, target: server.refused.append((method, target)),
    )
    async with asgi_server(server, load_shedder) as server.url:
        yield server


async def test_the_body_of_a_shed_request_with_an_upgrade_is_dropped(server: FakeServer) -> None:
    offering = POST.replace(b"Host", b"Connection: Upgrade\r\nUpgrade: h2c\r\nHost")
    async with server.connect() as client:
        server.full = True
        assert (await client.ask(offering.replace(b"body", b"GET ") + offering)).status_code == 503
        assert (await client.answer()).status_code == 503
        server.full = False
        assert (await client.ask(POST)).status_code == 200
    assert server.refused == [("POST", b"/v1/jobs")] * 2
    assert server.served == [b"/v1/jobs"]


async def test_while_the_store_is_full_writes_alone_are_refused_and_the_connection_goes_on(
    server: FakeServer,
) -> None:
    async with server.connect() as client:
        server.full = True
        for _ in range(2):
            refused = await client.ask(POST)
            assert refused.status_code == 503
            assert refused.headers["retry-after"] == "2"
            assert refused.headers["content-type"] == "application/problem+json"
            assert refused.json()["code"] == "overloaded"
            assert refused.headers["x-request-id"]
        assert (await client.ask(b"GET /read HTTP/1.1\r\nHost: x\r\n\r\n")).status_code == 200
        server.full = False
        assert (await client.ask(POST)).status_code == 200

    assert server.served == [b"/read", b"/v1/jobs"]
    assert server.refused == [("POST", b"/v1/jobs")] * 2


async def test_beyond_its_limit_an_iteration_admits_only_probes_and_streams(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_shedding, "MAX_WAITING", 0)
    async with server.connect() as client:
        for target, status in (
            (b"/v1/jobs", 503),
            (b"/livez", 200),
            (b"/v1/events?ticket=x", 200),
            (b"/v1/jobs/job_1/events", 200),
        ):
            await client.send(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await client.answer()).status_code == status, target


@pytest.mark.parametrize(
    ("target", "exempt"),
    [
        (b"/livez", True),
        (b"/readyz?x", True),
        (b"/metrics", True),
        (b"/v1/events", True),
        (b"/v1/events?ticket=a/b?c", True),
        (b"/v1/jobs/job_1/events", True),
        (b"/v1/jobs/job_1/events?last_event_id=1.a", True),
        (b"/events", False),
        (b"/v1/anything/events", False),
        (b"/v1/jobs/events", False),
        (b"/v1/jobs//events", False),
        (b"/v1/jobs/a/b/events", False),
        (b"/v1/jobs/job_1/events/", False),
        (b"/v1/jobs/job_1?/events", False),
        (b"/v1/jobs?x=/v1/events", False),
        (b"/webhooks/samsar/events", False),
        (b"/x/livez", False),
        (b"/livez/", False),
        (b"", False),
    ],
)
def test_only_probes_and_the_two_streams_are_exempt(target: bytes, exempt: bool) -> None:
    assert exempt_from_shedding(target) is exempt


async def test_the_next_iteration_admits_as_many_again() -> None:
    admitted: list[bool] = []
    load_shedder = shedder()
    for _ in range(2):
        admitted += [load_shedder.admit("GET", b"/") for _ in range(MAX_WAITING + 1)]
        await asyncio.sleep(0)

    assert admitted == [*[True] * MAX_WAITING, False] * 2


async def test_requests_start_in_order_a_few_in_each_iteration() -> None:
    started: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        started.append(scope["number"])

    load_shedder = shedder()
    paced = load_shedder.paced(app)
    tasks = [
        asyncio.ensure_future(paced({"type": "http", "number": number}, receive, send))
        for number in range(3 * STARTED_AT_ONCE)
    ]
    in_iteration = []
    cancelled = STARTED_AT_ONCE + 2
    while len(started) < len(tasks) - 1:
        before = len(started)
        await asyncio.sleep(0)
        in_iteration.append(len(started) - before)
        tasks[cancelled].cancel()

    assert max(in_iteration) == STARTED_AT_ONCE
    assert started == [number for number in range(len(tasks)) if number != cancelled]


async def test_those_that_wait_for_their_start_are_counted() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    load_shedder = shedder()
    paced = load_shedder.paced(app)
    tasks = []
    for _ in range(MAX_WAITING):
        assert load_shedder.admit("GET", b"/")
        tasks.append(asyncio.ensure_future(paced({"type": "http"}, receive, send)))
    admitted = []
    for _ in range(2):
        await asyncio.sleep(0)
        admitted += [load_shedder.admit("GET", b"/") for _ in range(MAX_WAITING)]
    await asyncio.gather(*tasks)

    assert admitted.count(True) < 5 * STARTED_AT_ONCE
    assert load_shedder.admit("GET", b"/")


async def receive() -> Any: ...


async def send(_: Any) -> None: ...


async def test_a_body_that_comes_after_the_refusal_is_dropped(server: FakeServer) -> None:
    server.full = True
    async with server.connect() as client:
        assert (await client.ask(POST[:-4])).status_code == 503
        server.full = False
        assert (await client.ask(b"body" + POST)).status_code == 200


async def test_the_refusal_of_a_head_request_has_no_body(server: FakeServer) -> None:
    """A client would take a body for the beginning of the next answer."""
    server.full = True
    async with server.connect() as client:
        length = (await client.ask(POST)).headers["content-length"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(load_shedding, "MAX_WAITING", 0)
        async with server.connect() as client:
            for _ in range(2):
                await client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
                head = await client.until(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 503 ")
                assert b"content-length: %s\r\n" % length.encode() in head


async def test_no_refusal_stands_in_the_middle_of_an_answer(server: FakeServer) -> None:
    async with server.connect() as client:
        await client.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.wait_for(server.begun.wait(), TIMEOUT)
        server.full = True
        await client.send(POST)
        async with server.connect() as other:  # its answer shows that the first POST was read
            assert (await other.ask(POST)).status_code == 503
        server.go.set()
        assert [(await client.answer()).status_code for _ in range(2)] == [200, 200]
