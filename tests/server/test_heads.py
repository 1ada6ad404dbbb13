"""The number of a head's headers is limited: a short one takes many times its bytes."""

from typing import Any

import pytest

from receiver.server.connection import CONNECTION, MOST_HEADERS, GuardedConnection
from tests.http_api.raw_http import request_bytes
from tests.server.raw_asgi import connected, read_body, respond

LINE = b"a:b\r\n"
UPGRADE = b"Connection: upgrade\r\nUpgrade: h2c\r\n"
BODY = b"Content-Length: 4\r\n"


async def count_headers(scope: Any, receive: Any, send: Any) -> None:
    """An application that answers with the number of headers and the body."""
    if scope["type"] == "http" and (body := await read_body(receive)) is not None:
        await respond(send, b"%d %s" % (len(scope["headers"]), body))


def post(count: int, start: bytes) -> bytes:
    """A request with that many headers, of which the last says how long the body is."""
    others = count - start.count(b"\n") - 1
    return b"POST / HTTP/1.1\r\n" + start + LINE * others + BODY + b"\r\nbody"


@pytest.mark.parametrize("start", [b"", UPGRADE], ids=["plain", "upgrade"])
async def test_the_number_of_headers_is_limited(start: bytes) -> None:
    async with connected(count_headers) as client:
        for _ in range(2):
            await client.send(post(MOST_HEADERS, start))
            assert (await client.answer()).body == b"%d body" % MOST_HEADERS
        await client.send(post(MOST_HEADERS + 1, start))
        answer = await client.answer()
        assert answer.status_code == 431
        assert answer.json()["detail"] == f"The request has more than {MOST_HEADERS} headers."
        assert answer.headers["connection"] == "close"
        assert await client.ended()


async def test_headers_beyond_the_limit_are_not_kept() -> None:
    kept: list[GuardedConnection] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            kept.append(scope["extensions"][CONNECTION])
            await respond(send)

    async with connected(app) as client:
        await client.send(request_bytes("GET", "/"))
        assert (await client.answer()).status_code == 200
        await client.send(b"GET / HTTP/1.1\r\n" + LINE * 10_000 + b"\r\n")
        assert (await client.answer()).status_code == 431
        assert len(kept[0].headers) == MOST_HEADERS + 1
