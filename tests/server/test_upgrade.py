"""An `Upgrade` header is ignored (RFC 9110, 7.8): the request is served with its body, and no byte
of a body is ever read as a request, or as part of its head."""

import asyncio

import pytest

from tests.http_api.raw_http import raw_connection
from tests.server.raw_asgi import Echo
from tests.support.asgi_server import asgi_server

INNER = b"POST /smuggled HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
"""A body that a wrong server would read as a request."""
UPGRADES = {
    "h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
    "upgrade first": b"Upgrade: h2c, foo/2\r\nConnection: upgrade\r\n",
    "websocket": b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n",
    "alone": b"Upgrade: h2c\r\n",
}
FRAMINGS = {
    "length": b"Content-Length: %d\r\n\r\n%s" % (len(INNER), INNER),
    "chunked": b"Transfer-Encoding: chunked\r\n\r\n%x;a=b\r\n%s\r\n1\r\n%s\r\n0\r\nT: x\r\n\r\n"
    % (len(INNER) - 1, INNER[:-1], INNER[-1:]),
}
NEXT = b"GET /next HTTP/1.1\r\nHost: test\r\n\r\n"
BOTH = [("POST", "/first", INNER), ("GET", "/next", b"")]


async def exchange(url: str, *parts: bytes) -> None:
    """Send the parts, each once the server has read the one before, and read two answers."""
    async with raw_connection(url) as client:
        for part in parts:
            await client.send(part)
            for _ in range(3):  # iterations in which the server reads this part alone
                await asyncio.sleep(0)
        for _ in range(2):
            assert (await client.answer()).status_code == 200


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("upgrade", UPGRADES)
async def test_a_request_is_served_with_its_body(upgrade: str, framing: str) -> None:
    request = b"POST /first HTTP/1.1\r\nHost: test\r\n" + UPGRADES[upgrade] + FRAMINGS[framing]
    echo = Echo()
    async with asgi_server(echo) as url:
        await exchange(url, request, NEXT)
        assert echo.served == BOTH
        echo.served.clear()
        await exchange(url, request + NEXT)
        assert echo.served == BOTH


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_a_request_split_at_any_byte(framing: str) -> None:
    request = b"POST /first HTTP/1.1\r\nHost: a\r\n" + UPGRADES["h2c"] + FRAMINGS[framing] + NEXT
    echo = Echo()
    async with asgi_server(echo) as url:
        for at in range(1, len(request)):
            await exchange(url, request[:at], request[at:])
            assert echo.served == BOTH, at
            echo.served.clear()
        await exchange(url, *(bytes([byte]) for byte in request))
        assert echo.served == BOTH


async def test_a_connection_is_closed_on_request() -> None:
    """Here, too, neither the body nor what follows it is read as a request."""
    head = b"POST /first HTTP/1.1\r\nConnection: close, Upgrade\r\nUpgrade: h2c\r\n"
    echo = Echo()
    async with asgi_server(echo) as url:
        for framing in FRAMINGS.values():
            async with raw_connection(url) as client:
                await client.send(head + framing)
                answer = await client.rest()
            assert answer.count(b"HTTP/1.1 ") == 1
            assert b"connection: close" in answer.lower()
        assert echo.served == [("POST", "/first", INNER)] * 2


async def test_expect_100_continue_with_an_upgrade() -> None:
    head, _, body = (UPGRADES["h2c"] + FRAMINGS["length"]).partition(b"\r\n\r\n")
    echo = Echo()
    async with asgi_server(echo) as url, raw_connection(url) as client:
        await client.send(b"POST /first HTTP/1.1\r\nExpect: 100-continue\r\n" + head + b"\r\n\r\n")
        assert await client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(body + NEXT)
        assert [(await client.answer()).status_code for _ in range(2)] == [200, 200]
        assert echo.served == BOTH
