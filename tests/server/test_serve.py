"""Serving and stopping: no client that has connected is left waiting."""

import asyncio
import socket
from contextlib import suppress
from typing import Any

import pytest

from receiver.server import serve
from receiver.server.serve import listen, serving
from tests.http_api.raw_http import request_bytes
from tests.server.raw_asgi import connected
from tests.support.service import TIMEOUT


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    """An application that never gets a request."""


@pytest.mark.parametrize("iterations", range(8))
async def test_a_connection_that_comes_at_the_end_is_closed(iterations: int) -> None:
    """It arrives this many iterations of the event loop after the server began to stop."""

    async def come() -> socket.socket:
        for _ in range(iterations):
            await asyncio.sleep(0)
        return socket.create_connection(address)

    with listen("127.0.0.1", 0) as listener:
        address = listener.getsockname()
        async with serving(_nothing, listener, grace=0):
            coming = asyncio.create_task(come())
    with suppress(ConnectionError), await coming as client:
        client.settimeout(TIMEOUT)
        assert client.recv(1) == b""


async def test_an_answer_is_one_write() -> None:
    """Its head and body reach the client together; an answer with only a head is complete too."""

    async def greet(scope: Any, receive: Any, send: Any) -> None:
        length = [(b"content-length", b"5")]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await asyncio.sleep(0.01)  # a head that was sent alone would be there by then
        await send({"type": "http.response.body", "body": b"hello"})

    async with connected(greet) as client:
        for method, body in (("GET", b"hello"), ("HEAD", b""), ("GET", b"hello")):
            await client.send(request_bytes(method, "/"))
            async with asyncio.timeout(TIMEOUT):
                answer = await client.read_some()
            assert answer.startswith(b"HTTP/1.1 200 OK\r\ndate: ")
            assert answer.endswith(b"\r\n\r\n" + body)


async def test_a_request_that_ignores_its_disconnect_is_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serve, "_CANCEL_DELAY_SECONDS", 0.05)
    begun, ended = asyncio.Event(), asyncio.Event()

    async def deaf(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with connected(deaf) as client:
        await client.send(request_bytes("GET", "/"))
        await begun.wait()
    assert ended.is_set()
