"""A limited number of a request's headers is kept: a short one takes many times its bytes."""

from typing import Any

import pytest

from receiver.server.connection import MOST_HEADERS
from tests.http_api.raw_http import request_bytes
from tests.server.raw_asgi import connected, read_body, respond

LINE = b"a:b\r\n"
UPGRADE = b"Connection: upgrade\r\nUpgrade: h2c\r\n"
LAST = b"Content-Length: 4\r\n"


async def count_headers(scope: Any, receive: Any, send: Any) -> None:
    """An application that answers with the number of headers and the body."""
    if (body := await read_body(receive)) is not None:
        await respond(send, b"%d %s" % (len(scope["headers"]), body))


def post(count: int, start: bytes = b"") -> bytes:
    """A request with that many headers, of which the last says how long the body is."""
    others = count - start.count(b"\n") - 1
    return b"POST / HTTP/1.1\r\n" + start + LINE * others + LAST + b"\r\nbody"


async def test_headers_beyond_the_limit_are_not_kept() -> None:
    """But they say how the body ends. The application has a lower limit, and refuses them all."""
    async with connected(count_headers) as client:
        for count in (MOST_HEADERS - 1, MOST_HEADERS, 10_000):
            await client.send(post(count))
            kept = min(count, MOST_HEADERS)
            assert (await client.answer()).body == b"%d body" % kept


@pytest.mark.parametrize("count", [MOST_HEADERS - 1, MOST_HEADERS, 10_000])
async def test_an_upgrade_is_not_ignored_if_a_header_may_be_missing(count: int) -> None:
    async with connected(count_headers) as client:
        await client.send(post(count, UPGRADE) + request_bytes("GET", "/"))
        if count < MOST_HEADERS:
            assert (await client.answer()).body == b"%d body" % count
            assert (await client.answer()).body == b"1 "
        else:
            answer = await client.answer()
            assert (answer.status_code, answer.json()["code"]) == (431, "head_too_large")
            assert await client.ended()
