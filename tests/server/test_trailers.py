"""Trailers are read and dropped: they cost no memory, and have the limits of a head."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from receiver.server import incoming
from receiver.server.connection import CONNECTION, GuardedConnection
from receiver.server.incoming import HEAD_BYTES
from tests.http_api.raw_http import RawConnection, request_bytes
from tests.server.raw_asgi import begin, connected, read_body, respond
from tests.support.service import TIMEOUT, until_seen

POST = request_bytes("POST", "/", Transfer_Encoding="chunked")
UPGRADE = request_bytes("POST", "/", Transfer_Encoding="chunked", Upgrade="h2c")
LINE = b"a:b\r\n"
TRAILERS = LINE * (HEAD_BYTES // 2 // len(LINE))


class Collecting:
    """An application whose `/early` is answered before the body, and whose `/begin` in part."""

    connection: GuardedConnection
    scope: Any

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope, self.connection = scope, scope["extensions"][CONNECTION]
        if scope["path"] == "/begin":
            await begin(send, 4)
            await send({"type": "http.response.body", "body": b"do", "more_body": True})
            await read_body(receive)
            await send({"type": "http.response.body", "body": b"ne"})
            return
        if scope["path"] != "/early":
            await read_body(receive)
        await respond(send)


@pytest.fixture
def app() -> Collecting:
    return Collecting()


@pytest.fixture
async def client(app: Collecting) -> AsyncIterator[RawConnection]:
    async with connected(app) as client:
        yield client


@pytest.mark.parametrize("is_early", [False, True])
@pytest.mark.parametrize("request_", [POST, UPGRADE], ids=["post", "upgrade"])
async def test_trailers_are_not_kept(
    app: Collecting, client: RawConnection, request_: bytes, is_early: bool
) -> None:
    if is_early:
        assert (await client.ask(request_.replace(b"/", b"/early", 1))).status_code == 200
        await client.send(b"0\r\n" + TRAILERS + b"\r\n")
    else:
        assert (await client.ask(request_ + b"0\r\n" + TRAILERS + b"\r\n")).status_code == 200
        assert (b"a", b"b") not in app.scope["headers"]
    await client.send(b"GET / HTTP/1.1\r\n")  # once this is read, so are the trailers
    kept = app.connection.headers
    await until_seen(lambda: app.connection.headers is not kept, what="the next head")
    assert kept == app.scope["headers"]
    assert len(kept) == 2 + (request_ is UPGRADE)
    assert (await client.ask(b"A: b\r\n\r\n")).status_code == 200
    assert app.scope["headers"] == [(b"a", b"b")]


@pytest.mark.parametrize(
    "trailers",
    [LINE * (HEAD_BYTES // 4), b"a:" + b"b" * 2 * HEAD_BYTES],
    ids=["many", "long"],
)
async def test_trailers_longer_than_a_head_are_refused(
    client: RawConnection, trailers: bytes
) -> None:
    """A long line has no limit of its own: the parser copies what it has of it at every read."""
    await client.send(POST + b"1\r\nx\r\n")
    for _ in range(3):
        await asyncio.sleep(0)
    assert (await client.ask(b"0\r\n" + trailers)).status_code == 431
    assert await client.ended()


@pytest.mark.parametrize("target", [b"/", b"/early"])
async def test_a_connection_that_a_trailer_closes_is_closed(
    monkeypatch: pytest.MonkeyPatch, client: RawConnection, target: bytes
) -> None:
    """The parser would read no further request."""
    monkeypatch.setattr(incoming, "HEAD_SECONDS", 2 * TIMEOUT)
    await client.send(POST.replace(b"/", target, 1) + b"1\r\nx\r\n")
    if target == b"/early":
        assert (await client.answer()).status_code == 200
    await client.send(b"0\r\nConnection: close\r\n\r\n" + request_bytes("GET", "/"))
    if target == b"/":
        answer = await client.answer()
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
    assert await client.ended()


async def test_a_trailer_that_comes_after_the_response_has_begun_closes_too(
    app: Collecting, client: RawConnection
) -> None:
    await client.send(POST.replace(b"/", b"/begin", 1))
    head = await client.until(b"\r\n\r\n")
    assert b"connection: close" not in head
    await client.send(b"0\r\nConnection: close\r\n\r\n")
    assert await client.rest() == b"done"


async def test_a_body_can_have_more_framing_than_a_head(client: RawConnection) -> None:
    body = b"1\r\nx\r\n" * HEAD_BYTES
    async with asyncio.timeout(TIMEOUT):
        assert (await client.ask(POST + body + b"0\r\n\r\n")).status_code == 200
