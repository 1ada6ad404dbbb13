"""Serving and stopping: no client that has connected is left waiting, and none costs too much."""

import asyncio
import resource
import socket
from contextlib import AsyncExitStack, ExitStack, suppress
from typing import Any

import pytest
import uvloop
from starlette.responses import Response

from receiver.server import serve
from receiver.server.connection import GuardedConnection
from receiver.server.serve import allow_many_connections, listen, serving
from tests.http_api.raw_http import raw_connection, request_bytes, sending
from tests.server.raw_asgi import Echo, connected, connection_of
from tests.support.asgi_server import asgi_server
from tests.support.service import TIMEOUT, until_seen

GET = request_bytes("GET", "/")
LAST = request_bytes("GET", "/", Connection="close")
SLOW = request_bytes("GET", "/slow")
REFUSED = request_bytes("POST", "/early", Content_Length="1000")
LARGE = 16 * 1024 * 1024


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "_CHECK_SECONDS", 0.02)


@pytest.fixture
def short_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "CLIENT_SECONDS", 1)


@pytest.mark.parametrize("iterations", range(12))
async def test_a_connection_that_comes_at_the_end_is_closed(iterations: int) -> None:
    """The server begins to stop in the fourth iteration of the event loop."""

    async def come() -> socket.socket:
        for _ in range(iterations):
            await asyncio.sleep(0)
        return socket.create_connection(address)

    with listen("127.0.0.1", 0) as listener:
        address = listener.getsockname()
        async with serving(Echo(), listener, grace=0):
            coming = asyncio.create_task(come())
            for _ in range(4):
                await asyncio.sleep(0)
    with suppress(ConnectionError), await coming as client:
        client.settimeout(TIMEOUT)
        assert client.recv(1) == b""


async def test_at_the_end_requests_are_finished_and_no_more_are_accepted() -> None:
    echo, idle = Echo(), b""
    with listen("127.0.0.1", 0) as listener:
        url, address = serve.origin(listener), listener.getsockname()
        async with AsyncExitStack() as stack:
            server = serving(echo, listener, grace=TIMEOUT)
            await server.__aenter__()
            busy, kept, new = [await stack.enter_async_context(raw_connection(url)) for _ in "123"]
            assert (await kept.ask(GET)).status_code == 200
            await new.send(GET[:-1])
            await busy.send(SLOW)
            await asyncio.wait_for(echo.begun.wait(), TIMEOUT)
            stopping = asyncio.create_task(server.__aexit__(None, None, None))
            for client in (kept, new):
                idle += await client.rest()
            with pytest.raises(ConnectionError):
                socket.create_connection(address).close()
            echo.go.set()
            answer = await busy.answer()
            assert (answer.body, answer.headers["connection"]) == (b"/slow", "close")
            await asyncio.wait_for(stopping, TIMEOUT)
    assert idle == b""


async def test_a_request_that_ignores_its_disconnect_is_cancelled() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def deaf(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with connected(deaf) as client:
        await client.send(GET)
        await begun.wait()
    assert ended.is_set()


@pytest.mark.usefixtures("short_limit")
async def test_a_head_or_a_next_request_that_does_not_come_ends_the_connection() -> None:
    async def responses(url: str, start: bytes, piece: bytes) -> int:
        async with raw_connection(url) as client:
            await client.send(start)
            async with sending(client, piece, 0.1):
                return (await client.rest()).count(b"HTTP/1.1 200")

    async with asgi_server(Echo()) as url:
        ended = asyncio.gather(
            responses(url, b"", b""),
            responses(url, b"GET / HTTP/1.1\r\nA: ", b"a"),
            responses(url, GET, b""),
            responses(url, GET, b"\r\n"),
            responses(url, GET + b"GET / HTTP/1.1\r\nA: ", b"a"),
            responses(url, REFUSED, b"a"),
        )
        assert list(await asyncio.wait_for(ended, TIMEOUT)) == [0, 0, 1, 1, 1, 1]


long_response = Response(b"x" * LARGE)


async def test_clients_that_read_nothing_cost_no_more_than_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serve, "MAX_UNREAD", 2 * LARGE)
    seen: set[Any] = set()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.add(connection_of(send))
        await long_response(scope, receive, send)

    async with asgi_server(app) as url, AsyncExitStack() as stack:
        for _ in range(5):
            client = await stack.enter_async_context(raw_connection(url))
            stack.enter_context(client.deaf())
            await client.send(GET)
        await until_seen(lambda: len(seen) == 5, what="the requests")
        cut = [each.transport.is_closing for each in seen]
        await until_seen(lambda: sum(is_cut() for is_cut in cut) >= 3, what="that three are cut")
        await asyncio.sleep(0.3)
        assert sum(is_cut() for is_cut in cut) == 3
        async with raw_connection(url) as reader:
            assert len((await reader.ask(GET)).body) == LARGE


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux has this time limit")
@pytest.mark.usefixtures("short_limit")
@pytest.mark.parametrize("reads", [False, True])
async def test_a_client_that_reads_nothing_is_cut_off(reads: bool) -> None:
    async with connected(long_response) as client:
        with client.deaf():
            await client.send(LAST)
            await asyncio.sleep(0.5 if reads else 4.0)
        assert (len(await client.rest()) > LARGE) is reads


async def test_half_of_the_open_files_are_for_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (3, 3))
    async with asgi_server(Echo()) as url, raw_connection(url) as first:
        assert (await first.ask(GET)).status_code == 200
        async with raw_connection(url) as second:
            assert await second.ended()
        assert (await first.ask(GET)).status_code == 200


def test_more_files_may_be_open(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: asked.append(pair))
    for soft, hard in ((1_024, 4_096), (256, 256), (1_024, resource.RLIM_INFINITY)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, pair=(soft, hard): pair)
        allow_many_connections()
    assert asked == [(4_096, 4_096), (65_536, resource.RLIM_INFINITY)]


def test_waiting_connections_are_accepted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one in each iteration of the event loop, in which others may have much to do."""
    made: list[Any] = []
    monkeypatch.setattr(GuardedConnection, "connection_made", lambda *given: made.append(given))

    async def seen_soon(listener: socket.socket) -> int:
        async with serving(Echo(), listener, grace=0):
            for _ in range(10):
                await asyncio.sleep(0)
            for _, transport in made:
                transport.abort()
            return len(made)

    with ExitStack() as stack:
        listener = stack.enter_context(listen("127.0.0.1", 0))
        for _ in range(50):
            stack.enter_context(socket.create_connection(listener.getsockname()))
        assert uvloop.run(seen_soon(listener)) == 50
