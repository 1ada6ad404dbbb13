"""An `Upgrade` header is ignored (RFC 9110, 7.8): the request is served with its body, and nothing
of a body is ever taken for a request, or for a part of its head."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from receiver.server.serve import listen, serving
from tests.support.service import TIMEOUT

Seen = list[tuple[str, str, bytes]]

INNER = b"POST /smuggled HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
"""A body that is a request, for a server that reads it as one."""
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
BOTH: Seen = [("POST", "/first", INNER), ("GET", "/next", b"")]


@asynccontextmanager
async def recording() -> AsyncIterator[tuple[tuple[str, int], Seen]]:
    """A server that notes each request with its whole body, and answers 200."""
    seen: Seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        seen.append((scope["method"], scope["path"], body))
        length = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await send({"type": "http.response.body", "body": b"ok"})

    with listen("127.0.0.1", 0) as listener:
        async with serving(app, listener, grace=0):
            yield listener.getsockname(), seen


async def exchange(address: tuple[str, int], *parts: bytes, answers: int) -> bytes:
    """Send the parts, one after the other has been taken, and read until so many answers came."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            for _ in range(3):  # iterations in which the server reads this part by itself
                await asyncio.sleep(0)
        came = b""
        async with asyncio.timeout(TIMEOUT):
            while came.count(b"HTTP/1.1 ") - came.count(b"HTTP/1.1 100") < answers or not (
                came.endswith((b"ok", b"}"))
            ):
                chunk = await reader.read(65_536)
                assert chunk, came
                came += chunk
        return came
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("upgrade", UPGRADES)
async def test_a_request_is_served_with_its_body(upgrade: str, framing: str) -> None:
    request = b"POST /first HTTP/1.1\r\nHost: test\r\n" + UPGRADES[upgrade] + FRAMINGS[framing]
    async with recording() as (address, seen):
        answers = await exchange(address, request, NEXT, answers=2)
        assert answers.count(b"HTTP/1.1 200 OK") == 2
        assert b"101" not in answers
        assert seen == BOTH
        del seen[:]
        await exchange(address, request + NEXT, answers=2)
        assert seen == BOTH


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_a_request_split_at_any_byte(framing: str) -> None:
    request = b"POST /first HTTP/1.1\r\nHost: a\r\n" + UPGRADES["h2c"] + FRAMINGS[framing] + NEXT
    async with recording() as (address, seen):
        for at in range(1, len(request)):
            await exchange(address, request[:at], request[at:], answers=2)
            assert seen == BOTH, at
            del seen[:]
        await exchange(address, *(bytes([byte]) for byte in request), answers=2)
        assert seen == BOTH


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
async def test_many_requests_in_a_row(version: bytes) -> None:
    keep = b"Connection: keep-alive, Upgrade\r\nUpgrade: h2c\r\n\r\n"
    one = b"GET /one HTTP/%s\r\nHost: test\r\n%s" % (version, keep)
    with_body = b"POST /two HTTP/1.1\r\n" + UPGRADES["h2c"] + FRAMINGS["chunked"]
    async with recording() as (address, seen):
        await exchange(address, one, answers=1)
        assert seen == [("GET", "/one", b"")]
        del seen[:]
        if version == b"1.1":
            await exchange(address, (one + with_body) * 3, answers=6)
            assert seen == [("GET", "/one", b""), ("POST", "/two", INNER)] * 3


async def test_a_connection_is_closed_on_request() -> None:
    """Also here nothing of the body is a request, nor is what follows it."""
    head = b"POST /first HTTP/1.1\r\nConnection: close, Upgrade\r\nUpgrade: h2c\r\n"
    async with recording() as (address, seen):
        for framing in FRAMINGS.values():
            reader, writer = await asyncio.open_connection(*address)
            writer.write(head + framing)
            async with asyncio.timeout(TIMEOUT):
                answer = await reader.read()
            assert answer.count(b"HTTP/1.1 ") == 1
            assert b"connection: close" in answer.lower()
            writer.close()
        assert seen == [("POST", "/first", INNER)] * 2


async def test_expect_100_continue_with_an_upgrade() -> None:
    head, _, body = (UPGRADES["h2c"] + FRAMINGS["length"]).partition(b"\r\n\r\n")
    async with recording() as (address, seen):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"POST /first HTTP/1.1\r\nExpect: 100-continue\r\n" + head + b"\r\n\r\n")
        async with asyncio.timeout(TIMEOUT):
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(body + NEXT)
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 OK\r\n")
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 OK\r\n")
        writer.transport.abort()
        assert seen == BOTH


@pytest.mark.parametrize("target", [b"example.com:443", b"/first", b"http://example.com/"])
async def test_connect_is_refused_and_opens_no_tunnel(target: bytes) -> None:
    async with recording() as (address, seen):
        for head in (b"", b"Content-Length: 5\r\n", UPGRADES["h2c"]):
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"CONNECT %s HTTP/1.1\r\nHost: test\r\n%s\r\n" % (target, head) + INNER)
            async with asyncio.timeout(TIMEOUT):
                answer = await reader.read()
            assert answer.startswith(b"HTTP/1.1 400 ")
            assert answer.count(b"HTTP/1.1 ") == 1
            writer.close()
    assert seen == []


async def test_trailers_are_not_headers() -> None:
    headers: list[tuple[bytes, bytes]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        headers.extend(scope["headers"])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    request = b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n%s\r\n"
    body = b"1\r\na\r\n0\r\nAPI-KEY: x\r\n\r\n"
    with listen("127.0.0.1", 0) as listener:
        async with serving(app, listener, grace=0):
            for upgrade in (b"", UPGRADES["h2c"]):
                reader, writer = await asyncio.open_connection(*listener.getsockname())
                writer.write(request % upgrade + body)
                async with asyncio.timeout(TIMEOUT):
                    assert b" 204 " in await reader.readuntil(b"\r\n\r\n")
                writer.transport.abort()
    assert [value for name, value in headers if name == b"host"] == [b"test"] * 2
    assert b"api-key" not in dict(headers)


async def test_two_framings_are_still_refused() -> None:
    framing = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    async with recording() as (address, seen):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"POST /first HTTP/1.1\r\n" + UPGRADES["h2c"] + framing + INNER)
        async with asyncio.timeout(TIMEOUT):
            assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
        writer.close()
    assert seen == []


async def test_curl_that_offers_http2() -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed here")
    async with recording() as (address, seen):
        curl = await asyncio.create_subprocess_exec(
            *("curl", "--silent", "--http2", "--noproxy", "*", "--data-binary", "@-"),
            f"http://127.0.0.1:{address[1]}/first",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(TIMEOUT):
            answer, _ = await curl.communicate(INNER)
        assert (curl.returncode, answer) == (0, b"ok")
        assert seen == [("POST", "/first", INNER)]
