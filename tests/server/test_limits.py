"""What a connection does with clients that exceed a limit, or do not speak HTTP: it ends, after the
response that is under way, and no other client waits for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from receiver.server.connection import (
    AT_ONCE,
    HEAD_BYTES,
    PIPELINED,
    GuardedConnection,
)
from tests.http_api.raw_http import RawConnection, raw_connection, request_bytes, sending
from tests.server.raw_asgi import Echo, connected
from tests.support.asgi_server import asgi_server
from tests.support.service import TIMEOUT

GET = request_bytes("GET", "/")
SLOW = request_bytes("GET", "/slow")
CHUNKED = request_bytes("POST", "/", Transfer_Encoding="chunked")
EARLY = request_bytes("POST", "/early", Transfer_Encoding="chunked")
LINE = b"a:b\r\n"


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
async def client(echo: Echo) -> AsyncIterator[RawConnection]:
    async with connected(echo) as client:
        yield client


@pytest.mark.parametrize(
    ("start", "piece", "status"),
    [
        (b"GET /", b"a", 431),
        (b"GET / HTTP/1.1\r\nA: ", b"a", 431),
        (b"GET / HTTP/1.1\r\n", LINE, 431),
        (b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n", LINE, 431),
        (EARLY + b"0\r\n", LINE, 431),
        (EARLY + b"0\r\nA: ", b"a", 431),
        (EARLY + b"1;", b"a", 431),
        (b"nonsense", b"\r\n", 400),
        (b"CONNECT a:1 HTTP/1.1\r\n\r\n", b"a", 400),
        (CHUNKED + b"0\r\n", LINE, 431),
        (CHUNKED + b"1;", b"a", 431),
        (GET * (PIPELINED + 2), b"a", None),
        (b"GET /\n\r\n", b"GET /\n\r\n", None),
    ],
    ids=lambda value: repr(value)[-30:],
)
async def test_what_has_no_end_ends_the_connection(
    echo: Echo, client: RawConnection, start: bytes, piece: bytes, status: int | None
) -> None:
    """It is refused in words if no other response is due."""
    await client.send(start)
    if start.startswith(EARLY) and status == 431:
        assert (await client.answer()).status_code == 200
    async with sending(client, piece * 10_000):
        if status is not None:
            assert b"HTTP/1.1 %d " % status in await client.until(b"\r\n")
        await client.rest()
    assert len(echo.served) <= PIPELINED + 1


@pytest.mark.parametrize("target", [b"/", b"/early"])
async def test_trailers_are_no_headers(echo: Echo, client: RawConnection, target: bytes) -> None:
    start = CHUNKED.replace(b"/", target, 1)
    for _ in range(2):
        await client.send(start)
        await client.send(b"1\r\nx\r\n0\r\n" + LINE * 98 + b"\r\n")
        assert (await client.answer()).status_code == 200
    assert len(echo.scope["headers"]) == 2


async def test_a_body_can_have_more_framing_than_a_head(client: RawConnection) -> None:
    body = b"1\r\nx\r\n" * HEAD_BYTES
    async with asyncio.timeout(TIMEOUT):
        assert (await client.ask(CHUNKED + body + b"0\r\n\r\n")).body == b"/" + b"x" * HEAD_BYTES


async def test_a_few_pipelined_requests_are_answered_in_order(client: RawConnection) -> None:
    targets = [f"/{number}" for number in range(PIPELINED + 1)]
    await client.send(b"".join(request_bytes("GET", target) for target in targets))
    assert [(await client.answer()).body.decode() for _ in targets] == targets


async def test_what_follows_a_last_request_is_dropped(echo: Echo, client: RawConnection) -> None:
    await client.send(request_bytes("GET", "/last", Connection="close") + GET)
    assert (await client.answer()).body == b"/last"
    assert await client.ended()
    assert len(echo.served) == 1


@pytest.mark.parametrize(
    "then",
    [
        b"nonsense\r\n\r\n",
        GET * (PIPELINED + 1),
        b"GET http://a HTTP/1.1\r\n\r\n",
        CHUNKED + b"zz\r\n",
    ],
)
async def test_no_refusal_is_taken_for_the_response_to_another_request(
    echo: Echo, client: RawConnection, then: bytes
) -> None:
    await client.send(SLOW)
    await asyncio.wait_for(echo.begun.wait(), TIMEOUT)
    await client.send(then)
    assert await client.ended()
    echo.go.set()


@pytest.mark.parametrize("then", [b"zz\r\n", b"0\r\n" + LINE * HEAD_BYTES])
async def test_a_body_that_cannot_be_read_is_refused_and_its_request_disconnected(
    echo: Echo, client: RawConnection, then: bytes
) -> None:
    await client.send(CHUNKED + b"1\r\nx\r\n")
    await asyncio.wait_for(echo.begun.wait(), TIMEOUT)
    answer = await client.ask(then)
    assert (answer.status_code, answer.headers["connection"]) in ((400, "close"), (431, "close"))
    assert await client.ended()
    assert (echo.disconnected, echo.served) == (1, [])


async def test_the_rest_of_a_refused_body_is_read_and_dropped(
    echo: Echo, client: RawConnection
) -> None:
    rest = b"x" * 4_000_000
    await client.send(request_bytes("POST", "/early", Content_Length=str(len(rest))))
    await client.send(rest[:100_000])
    assert (await client.answer()).status_code == 200
    await client.send(rest[100_000:] + GET)
    assert (await client.answer()).body == b"/"


async def test_a_few_clients_read_on_in_one_iteration() -> None:
    echo = Echo()
    connections: list[GuardedConnection] = []
    async with asgi_server(echo) as url, AsyncExitStack() as stack:
        for _ in range(AT_ONCE + 1):
            client = await stack.enter_async_context(raw_connection(url))
            await client.send(request_bytes("POST", "/early", Content_Length="9999999"))
            assert (await client.answer()).status_code == 200
            connections.append(echo.connection)
        for each in connections:
            each.data_received(b"x")
        for reading in (0, AT_ONCE, AT_ONCE + 1):
            assert sum(each.transport.is_reading() for each in connections) == reading
            await asyncio.sleep(0)


async def test_nothing_is_kept_of_a_connection_that_was_reset() -> None:
    """Not even its timer for a next request."""
    echo = Echo()
    async with asgi_server(echo) as url:
        async with raw_connection(url) as client:
            assert (await client.ask(GET)).status_code == 200
        connection: Any = echo.connection
        connection.connection_lost(ConnectionResetError())
        assert connection.timeout_keep_alive_task is None
