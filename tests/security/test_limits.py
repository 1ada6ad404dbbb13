"""Limits: whatever is too long, too slow or too frequent is cut off, with a documented refusal if
one can still be sent, and other clients do not notice."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from receiver.http_api import body
from receiver.server import serve
from tests.http_api.raw_http import raw_connection, request_bytes, sending
from tests.support import documented
from tests.support.service import RunningService

UPGRADE = b"Upgrade: h2c\r\nConnection: upgrade\r\n"

# --- size of heads --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    [
        b"GET /livez?" + b"a" * 33_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\n" + b"A: b\r\n" * 6_000 + b"\r\n",
        b"GET /livez HTTP/1.1\r\nA: " + b"b" * 33_000 + b"\r\n\r\n",
        # Without an end.
        b"GET /" + b"a" * 66_000,
        b"GET / HTTP/1.1\r\nA: " + b"a" * 66_000,
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 11_000,
    ],
    ids=lambda value: repr(value)[:24],
)
async def test_a_head_that_is_too_large_is_refused(
    shared_service: RunningService, head: bytes
) -> None:
    async with raw_connection(shared_service.url) as connection:
        documented.assert_problem(await connection.ask(head), 431, "head_too_large")
        assert await connection.ended()


async def test_a_head_within_the_limits_is_not(shared_service: RunningService) -> None:
    async with raw_connection(shared_service.url) as connection:
        head = "GET /livez?" + "a" * 8_000 + " HTTP/1.1\r\n" + "A: b\r\n" * 98
        await connection.send(head.encode() + b"B: " + b"c" * 23_000 + b"\r\n\r\n")
        assert (await connection.answer()).status_code == 200


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nBad Name: x\r\n\r\n",
        b"POST /v1/jobs HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"POST / HTTP/1.1\r\n%sContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}" % UPGRADE,
        b"POST /v1/jobs HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"POST /v1/jobs HTTP/1.1\r\nContent-Length: -1\r\n\r\n{}",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        # Invalid chunks, and bytes that follow a valid head.
        b"POST /v1/jobs HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /webhooks/samsar/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{}}",
        b"POST /v1/jobs HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n{}",
    ],
)
async def test_what_is_no_http_is_refused_in_the_one_shape(
    shared_service: RunningService, request_: bytes
) -> None:
    async with raw_connection(shared_service.url) as connection:
        documented.assert_problem(await connection.ask(request_), 400, "malformed_request")
        assert await connection.ended()


async def test_nonsense_does_not_get_into_an_open_stream(shared_service: RunningService) -> None:
    key = await shared_service.key()
    async with raw_connection(shared_service.url) as connection:
        await connection.send(request_bytes("GET", "/v1/events", API_KEY=key))
        await connection.until(b"event: snapshot")
        await connection.send(b"nonsense\r\n\r\n")
        assert b"HTTP/1.1" not in await connection.rest()


async def test_a_request_that_is_too_large_is_refused_and_the_connection_goes_on(
    shared_service: RunningService,
) -> None:
    """The body is read to its end instead of a reset, so that the client sees the answer."""
    client = await shared_service.user()
    for content in (b" " * 8_000_000, pieces()):
        answer = await client.post("/v1/jobs", content=content)
        assert answer.status_code == 413
    assert (await client.get("/v1/jobs")).status_code == 200


async def pieces() -> AsyncIterator[bytes]:
    for _ in range(80):
        yield b" " * 100_000


# --- time -----------------------------------------------------------------------------------------


async def test_a_slow_body_ends_and_delays_no_other(
    service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "BODY_SECONDS", 0.5)
    key = await service.key()
    async with raw_connection(service.url) as slow:
        await slow.send(request_bytes("POST", "/v1/jobs", API_KEY=key, Content_Length="1000"))
        async with sending(slow, b"a", pause=0.05):
            assert (await service.client().get("/livez")).status_code == 200
            documented.assert_problem(await slow.answer(), 408, "body_too_slow")
            assert await slow.ended()


@pytest.fixture
def short_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has to run before the `service` fixture, which uses it from its start."""
    monkeypatch.setattr(serve, "CLIENT_SECONDS", 1)


@pytest.mark.usefixtures("short_limit")
async def test_a_stream_without_events_is_not_cut_off(service: RunningService) -> None:
    key = await service.key()
    async with raw_connection(service.url) as stream:
        await stream.send(request_bytes("GET", "/v1/events", API_KEY=key))
        await stream.until(b"event: snapshot")
        await asyncio.sleep(2)
        assert stream.is_open()
