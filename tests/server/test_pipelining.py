"""Pipelined requests are answered in order, and many of them cost no more than a few."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import product
from typing import Any
from unittest.mock import Mock
from urllib.parse import urlsplit

import pytest
from httptools import HttpParserError, HttpRequestParser

from receiver.server import connection as server_connection
from receiver.server import incoming, pipelining
from receiver.server.connection import GuardedConnection
from receiver.server.pipelining import PARSED_AT_ONCE
from tests.http_api.raw_http import RawConnection, raw_connection, request_bytes
from tests.server.raw_asgi import Echo, begin, read_body, shedder
from tests.support.asgi_server import asgi_server
from tests.support.service import TIMEOUT, until_seen

SHORT = 0.2
"""Seconds that replace a time limit."""
GET = request_bytes("GET", "/")
SLOW = request_bytes("GET", "/slow")
LAST = request_bytes("GET", "/last", Connection="close")
BLANK = b"\r\n\r\n"
LARGE = b"x" * 70_000


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    echo = Echo()
    async with asgi_server(echo) as echo.url:
        yield echo


@pytest.fixture
async def client(echo: Echo) -> AsyncIterator[RawConnection]:
    async with raw_connection(echo.url) as client:
        yield client


async def has_ended(connection: GuardedConnection) -> None:
    """Wait until the server has no such connection any more."""

    await until_seen(lambda: connection not in connection.connections, what="its end")


async def answers(client: RawConnection, count: int) -> list[bytes]:
    return [(await client.answer()).body for _ in range(count)]


async def test_many_requests_sent_at_once_are_answered_in_order(
    echo: Echo, client: RawConnection
) -> None:
    count = 2_000
    sending = asyncio.create_task(
        client.send(b"".join(request_bytes("GET", f"/{number}") for number in range(count)))
    )
    assert await answers(client, count) == [b"/%d" % number for number in range(count)]
    await sending
    assert echo.most_waiting <= PARSED_AT_ONCE


async def test_not_even_the_shortest_requests_are_queued(echo: Echo, client: RawConnection) -> None:
    """Without a version, they are of HTTP/0.9."""
    await client.send(b"GET /\n\r\n" * 10_000)
    assert await client.until(b"\r\n\r\n")
    assert echo.most_waiting <= PARSED_AT_ONCE
    assert echo.served == [b"/"]


async def test_a_body_that_the_application_does_not_read_is_not_read_on(
    echo: Echo, client: RawConnection
) -> None:
    """Whatever it contains: blank lines end heads."""
    body = (b"x" * 1_000 + BLANK) * 10_000
    sending = asyncio.create_task(client.send(request_bytes("POST", "/deaf", body)))
    await echo.begun.wait()
    for _ in range(500):
        await asyncio.sleep(0)
    assert not echo.is_reading()
    assert len(echo.connection.cycle.body) < 1_000_000

    echo.go.set()
    await sending
    assert (await client.answer()).body == b"/deaf" + body


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_bodies_of_blank_lines_between_requests(
    echo: Echo, client: RawConnection, framing: str
) -> None:
    """A body has what ends a head, so it is parsed in parts; it stays one body."""
    body = BLANK * 500
    if framing == "length":
        post = request_bytes("POST", "/post", body)
    else:
        chunks = b"%x\r\n%s\r\n0\r\nTrailer: x\r\n\r\n" % (len(body), body)
        post = request_bytes("POST", "/post", chunks, Transfer_Encoding="chunked")
    await client.send((GET * 3 + post) * 20)
    assert await answers(client, 80) == [b"/", b"/", b"/", b"/post" + body] * 20


async def test_while_requests_wait_nothing_is_read(echo: Echo, client: RawConnection) -> None:
    """Neither because the application waits for a disconnect, nor after each answer."""
    await client.send(SLOW + GET)
    await asyncio.wait_for(echo.begun.wait(), TIMEOUT)
    await client.send(SLOW * 2)
    for _ in range(5):
        await asyncio.sleep(0)
    assert not echo.is_reading()
    assert len(echo.connection.pipeline) == 1
    echo.go.set()
    assert await answers(client, 4) == [b"/slow", b"/", b"/slow", b"/slow"]
    assert echo.is_reading()


@pytest.mark.parametrize(
    ("before", "answered"),
    [
        pytest.param(SLOW + GET, [b"/slow", b"/"], id="a request waits"),
        pytest.param(
            request_bytes("POST", "/deaf", LARGE), [b"/deaf" + LARGE], id="a body is not read"
        ),
    ],
)
async def test_no_time_limit_of_a_head_runs_while_nothing_is_read(
    monkeypatch: pytest.MonkeyPatch, before: bytes, answered: list[bytes]
) -> None:
    """The client has sent the beginning of a head, and may have sent the rest as well."""
    echo = Echo()
    monkeypatch.setattr(server_connection, "CHECK_SECONDS", 0.01)
    monkeypatch.setattr(incoming, "HEAD_SECONDS", SHORT)
    async with asgi_server(echo) as url, raw_connection(url) as client:
        await client.send(before + GET[:-1])
        await asyncio.wait_for(echo.begun.wait(), TIMEOUT)
        await asyncio.sleep(2 * SHORT)
        await client.send(GET[-1:])
        echo.go.set()
        assert await answers(client, len(answered) + 1) == [*answered, b"/"]


async def test_what_follows_the_last_request_does_not_cost_its_answer(
    echo: Echo, client: RawConnection
) -> None:
    await client.send(request_bytes("GET", "/slow", Connection="close"))
    await asyncio.wait_for(echo.begun.wait(), TIMEOUT)
    for _ in range(3):
        await client.send(b"x" * 50_000)
        await asyncio.sleep(0.01)
    echo.go.set()
    assert await answers(client, 1) == [b"/slow"]


async def test_a_target_that_is_no_url_is_not_refused_in_the_name_of_the_request_before(
    echo: Echo, client: RawConnection
) -> None:
    await client.send(SLOW)
    await asyncio.wait_for(echo.begun.wait(), TIMEOUT)
    await client.send(b"GET http://a HTTP/1.1\r\nHost: test\r\n\r\n")
    with suppress(ConnectionError):
        assert await client.rest() == b""
    echo.go.set()


@pytest.mark.parametrize("before", [2, PARSED_AT_ONCE, 100])
async def test_nothing_after_the_last_request_is_served(
    echo: Echo, client: RawConnection, before: int
) -> None:
    await client.send(GET * before + LAST + SLOW * 100)
    assert await answers(client, before + 1) == [b"/"] * before + [b"/last"]
    assert await client.ended()
    assert b"/slow" not in echo.served
    assert not echo.begun.is_set()


@pytest.mark.parametrize("start", [b"GET /", b"GET / HTTP/1.1", b"GET / HTTP/1.1\r\nA: b"])
def test_a_head_has_no_other_end(start: bytes) -> None:
    """Otherwise the requests that are parsed at once would have to be counted in another way."""
    heads = Mock(spec=["on_headers_complete"])
    for ends in product((b"", b"\n", b"\r", b"\r\n", b" "), repeat=3):
        end = b"".join(ends)
        parser = HttpRequestParser(heads)
        parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's is
        with suppress(HttpParserError):
            parser.feed_data(start + end)
        assert b"\n\r\n" in end or not heads.on_headers_complete.called, end
        heads.reset_mock()


async def test_a_client_that_leaves_is_forgotten(echo: Echo) -> None:
    async with raw_connection(echo.url) as client:
        await client.send(SLOW + GET * 1_000)
        await asyncio.wait_for(echo.begun.wait(), TIMEOUT)
    echo.go.set()
    await has_ended(echo.connection)
    assert echo.served.count(b"/") <= PARSED_AT_ONCE


async def test_shed_requests_do_not_hold_the_event_loop() -> None:
    refuse, most_at_once = Mock(), 0

    async def count() -> None:
        nonlocal most_at_once
        while True:
            before = refuse.call_count
            await asyncio.sleep(0)
            most_at_once = max(most_at_once, refuse.call_count - before)

    many, load_shedder = 1_000, shedder(on_refusal=refuse)
    async with asgi_server(Echo(), load_shedder) as url, raw_connection(url) as client:
        counting = asyncio.create_task(count())
        await client.send(request_bytes("POST", "/") * many)
        for _ in range(many):
            assert (await client.answer()).status_code == 503
        counting.cancel()
    assert refuse.call_count == many
    assert most_at_once <= PARSED_AT_ONCE


async def test_one_request_runs_while_answers_to_shed_ones_wait_for_their_reader(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Requests are shed until the client has too much to read. The next one that came with them is
    admitted; the rest waits for that one, also once the client reads."""
    monkeypatch.setattr(pipelining, "PARSED_AT_ONCE", 1_000)
    echo, many = Echo(), 20_000

    def cannot_write() -> bool:
        return bool(echo.served) and not echo.connection.flow.write_paused

    load_shedder = shedder(cannot_write=cannot_write)
    async with asgi_server(echo, load_shedder) as url, raw_connection(url) as client:
        assert (await client.ask(GET)).status_code == 200
        with client.deaf():
            sending = asyncio.create_task(client.send(request_bytes("POST", "/slow") * many))
            await asyncio.wait_for(echo.begun.wait(), TIMEOUT)
        waiting = len(echo.connection.pipeline)
        assert waiting
        shed = 0
        async with asyncio.timeout(TIMEOUT):
            while echo.connection.flow.write_paused:
                assert (await client.answer()).status_code == 503
                shed += 1
        assert len(echo.connection.tasks) == 1
        assert len(echo.connection.pipeline) == waiting
        echo.go.set()
        statuses = [(await client.answer()).status_code for _ in range(many - shed)]
        assert statuses.count(200) > waiting
        await sending


async def test_a_running_request_is_notified_of_a_disconnect_although_another_waits() -> None:
    notified = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await read_body(receive)
        gone = asyncio.create_task(receive())
        await begin(send, 1 << 30)
        while not gone.done():
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            await asyncio.sleep(0)
        notified.set()

    async with asgi_server(app) as url:
        async with raw_connection(url) as client:
            await client.send(GET * 2)
            assert await client.until(BLANK)
        await asyncio.wait_for(notified.wait(), TIMEOUT)


async def test_nothing_is_kept_of_a_connection_that_was_reset(echo: Echo) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(echo.url).port)
    writer.write(GET)
    assert await reader.readuntil(BLANK)
    connection: Any = echo.connection
    assert connection.timeout_keep_alive_task is not None
    opened = writer.get_extra_info("socket")
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    await has_ended(connection)
    assert connection.timeout_keep_alive_task is None
    with suppress(ConnectionError):
        await writer.wait_closed()
