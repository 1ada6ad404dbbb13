"""A client sees the last answer of a connection even if it is still sending: a connection that is
closed with unread bytes is reset, and then `send` fails on the client's side."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from receiver.server import connection as server_connection
from receiver.server import incoming
from tests.http_api.raw_http import raw_connection, request_bytes, sending
from tests.server.raw_asgi import read_body, respond
from tests.support.asgi_server import asgi_server
from tests.support.service import TIMEOUT

LARGE = 8 * 1024 * 1024
"""Bytes; more than the kernel buffers while nobody reads."""
SHORT = 0.2
"""Seconds that replace a time limit."""
LAST = request_bytes("GET", "/", Connection="close")
CLOSE = [(b"connection", b"close"), (b"content-length", b"0")]


async def refuse(scope: Any, receive: Any, send: Any) -> None:
    """An application that answers 413 before the body; in the case of `/own` it closes, too, and
    of `/wait` it reads on."""
    if scope["path"] == "/wait":
        await read_body(receive)
    elif scope["path"] == "/own":
        await send({"type": "http.response.start", "status": 413, "headers": CLOSE})
        await send({"type": "http.response.body"})
    else:
        await respond(send, status=413)


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with asgi_server(refuse) as url:
        yield url


def converse(url: str, *parts: bytes) -> bytes:
    """Send all parts like a client that reads only then, and read to the end. Runs in a thread."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), TIMEOUT) as client:
        for part in parts:
            client.sendall(part)
            time.sleep(0.01)  # a reset of what was sent arrives in this time
        answer = b""
        while chunk := client.recv(1 << 16):
            answer += chunk
    return answer


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % LARGE,
        b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: %d\r\n\r\n" % LARGE,
        b"POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % LARGE,
        b"POST /own HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % LARGE,
        b"POST / HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % LARGE,
    ],
    ids=["1.0", "1.0 keep-alive", "close", "the application closes", "chunked"],
)
async def test_an_early_answer_arrives_and_the_connection_ends(url: str, head: bytes) -> None:
    answer = await asyncio.to_thread(converse, url, head, b"x" * LARGE)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    ("start", "rest", "status"),
    [
        (b"", b"GET / HTTP/1.1\r\nA: " + b"a" * LARGE, b"431"),
        (b"", b"nonsense" + b"\r\n" * LARGE, b"400"),
        (b"CONNECT a:1 HTTP/1.1\r\n\r\n", b"x" * LARGE, b"400"),
        (b"POST /wait HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"z" * LARGE, b"400"),
    ],
    ids=["a large head", "nonsense", "CONNECT", "an invalid chunk"],
)
async def test_what_is_no_request_is_refused_while_it_is_sent(
    url: str, start: bytes, rest: bytes, status: bytes
) -> None:
    answer = await asyncio.to_thread(converse, url, start, rest)
    assert answer.startswith(b"HTTP/1.1 %s " % status)
    assert answer.count(b"HTTP/1.1 ") == 1


async def test_a_refused_client_is_not_told_to_continue() -> None:
    """The application asks for the body only after the refusal, when nothing can be written."""
    refused, seen = asyncio.Event(), asyncio.Queue[Any]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await refused.wait()
        seen.put_nowait(await receive())

    head = request_bytes("POST", "/", Expect="100-continue", Transfer_Encoding="chunked")
    async with asgi_server(app) as url, raw_connection(url) as client:
        assert (await client.ask(head + b"zz\r\n")).status_code == 400
        refused.set()
        message = await asyncio.wait_for(seen.get(), TIMEOUT)
        assert message == {"type": "http.disconnect"}
        assert await client.ended()


async def test_a_large_early_answer_waits_for_a_client_that_sends_its_body_first() -> None:
    """Whose blank lines make the server read it in parts."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, b"x" * LARGE)

    head = request_bytes("POST", "/", Content_Length=str(LARGE))
    async with asgi_server(app) as url:
        answer = await asyncio.to_thread(converse, url, head + b"\r\n" * (LARGE // 2), LAST)
    assert answer.count(b"x" * LARGE) == 2


async def test_what_follows_the_last_answer_is_not_served(url: str) -> None:
    request = request_bytes("POST", "/", Connection="close", Content_Length="4")
    async with raw_connection(url) as client:
        assert (await client.ask(request)).status_code == 413
        await client.send(b"body" + request_bytes("GET", "/") * 100)
        assert await client.rest() == b""


@pytest.mark.parametrize(
    ("limit", "pause"), [("QUIET_SECONDS", TIMEOUT), ("UNREAD_SECONDS", SHORT / 10)]
)
async def test_a_client_that_does_not_close_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, limit: str, pause: float
) -> None:
    """It has seen the end of what the server sends, and sends nothing, or on and on."""
    monkeypatch.setattr(server_connection, "CHECK_SECONDS", 0.01)
    monkeypatch.setattr(incoming, limit, SHORT)
    lost = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["extensions"][server_connection.CONNECTION].when_lost(lost.set)
        await respond(send, status=413)

    async with asgi_server(app) as url, raw_connection(url) as client:
        await client.send(request_bytes("POST", "/", Connection="close", Content_Length="1000000"))
        assert (await client.answer()).status_code == 413
        async with sending(client, b"x", pause):
            assert await client.ended()
            assert not lost.is_set()
            await asyncio.wait_for(lost.wait(), TIMEOUT)
