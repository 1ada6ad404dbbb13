"""Clients that are slow or never finish: each is cut off in time, and no other client is."""

import asyncio
import json
from collections.abc import Callable
from contextlib import nullcontext, suppress

import pytest

from receiver.http_api import body
from receiver.server import buffer_limiter, incoming
from receiver.server import connection as server_connection
from tests.http_api.raw_http import raw_connection, request_bytes, sending
from tests.support.documented import assert_problem
from tests.support.service import JOB, TIMEOUT, RunningService

SHORT = 0.5
"""Seconds that replace the longer limits."""
PAUSE = SHORT / 10
"""Seconds between two bytes of a client that trickles."""
UNREAD = request_bytes("POST", "/v1/jobs", Content_Length="1000")
"""A request that is refused before its body has arrived."""


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Shortens one of the time limits. It has to run before the `service` fixture, which checks its
    connections from its start."""
    monkeypatch.setattr(server_connection, "CHECK_SECONDS", 0.05)

    def hurry(name: str) -> None:
        module = incoming if hasattr(incoming, name) else buffer_limiter
        monkeypatch.setattr(module, name, SHORT)

    return hurry


async def test_a_body_of_framing_is_cut_off(
    service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming, "FRAMING_BYTES", 200_000)
    key = await service.key()
    async with raw_connection(service.url) as connection:
        await connection.send(
            request_bytes("POST", "/v1/jobs", API_KEY=key, Transfer_Encoding="chunked")
        )
        async with sending(connection, b"1;" + b"x" * 6_000 + b"\r\na\r\n"):
            refusal = await connection.rest()
    # A client that is still sending may see a reset instead.
    assert refusal == b"" or refusal.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    ("limit", "start", "trickles", "refusal"),
    [
        ("HEAD_SECONDS", b"", False, None),
        ("HEAD_SECONDS", b"GET /livez HTTP/1.1\r\nA: ", True, (408, "head_too_slow")),
        ("UNREAD_SECONDS", UNREAD, True, (400, "api_key_missing")),
        ("QUIET_SECONDS", UNREAD, False, (400, "api_key_missing")),
    ],
)
async def test_what_does_not_come_to_its_end_is_cut_off(
    hurried: Callable[[str], None],
    service: RunningService,
    limit: str,
    start: bytes,
    trickles: bool,
    refusal: tuple[int, str] | None,
) -> None:
    """Heads that never end or trickle, and the rest of bodies that nobody reads."""
    hurried(limit)
    async with raw_connection(service.url) as connection:
        await connection.send(start)
        async with sending(connection, b"a", PAUSE) if trickles else nullcontext():
            if refusal is not None:
                assert_problem(await connection.answer(), *refusal)
            assert await connection.ended()


async def test_blank_lines_do_not_keep_a_connection(
    hurried: Callable[[str], None], service: RunningService
) -> None:
    hurried("HEAD_SECONDS")
    async with raw_connection(service.url) as connection:
        assert (await connection.ask(request_bytes("GET", "/livez"))).status_code == 200
        await connection.send(b"\r\n")
        assert await connection.ended()


async def test_a_pause_in_the_body_of_a_pipelined_request(
    hurried: Callable[[str], None], service: RunningService
) -> None:
    """A response to an earlier request does not turn this body into the rest of an answered
    request."""
    hurried("QUIET_SECONDS")
    key = await service.key()
    body = json.dumps(JOB).encode()
    second = request_bytes("POST", "/v1/jobs", body, API_KEY=key)
    async with raw_connection(service.url) as connection:
        await connection.send(request_bytes("GET", "/livez") + second[:-1])
        assert (await connection.answer()).status_code == 200
        await asyncio.sleep(2 * SHORT)
        assert (await connection.ask(second[-1:])).status_code == 202


async def test_a_slow_body_ends_and_delays_no_other(
    service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "BODY_SECONDS", SHORT)
    key = await service.key()
    async with raw_connection(service.url) as slow:
        await slow.send(request_bytes("POST", "/v1/jobs", API_KEY=key, Content_Length="1000"))
        async with sending(slow, b"a", PAUSE):
            assert (await service.client().get("/livez")).status_code == 200
            assert_problem(await slow.answer(), 408, "body_too_slow")
            assert await slow.ended()


async def test_a_client_that_takes_no_answer_is_cut_off(
    hurried: Callable[[str], None], service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried("STALLED_SECONDS")
    cut = asyncio.Event()
    end = server_connection.GuardedConnection.connection_lost

    def ended(connection: server_connection.GuardedConnection, exc: Exception | None) -> None:
        end(connection, exc)
        cut.set()

    monkeypatch.setattr(server_connection.GuardedConnection, "connection_lost", ended)
    # More answers than both kernels can buffer, whatever the server's pace: the client is cut off
    # long before the last one. A server that does not cut it off serves them all.
    many = 2_000
    async with raw_connection(service.url) as connection:
        with connection.deaf(), suppress(ConnectionError):
            for _ in range(many):
                await connection.send(request_bytes("GET", "/openapi.json"))
                await asyncio.sleep(0)
            async with asyncio.timeout(TIMEOUT):
                await cut.wait()
        assert (await connection.rest()).count(b"HTTP/1.1 200") < many


async def test_an_idle_client_is_not_cut_off(
    hurried: Callable[[str], None], service: RunningService
) -> None:
    """This covers a stream without events, and a connection between two requests."""
    for name in ("HEAD_SECONDS", "UNREAD_SECONDS", "STALLED_SECONDS"):
        hurried(name)
    key = await service.key()
    async with raw_connection(service.url) as kept:
        await kept.ask(request_bytes("GET", "/livez"))
        async with raw_connection(service.url) as stream:
            await stream.send(request_bytes("GET", "/v1/events", API_KEY=key))
            await stream.until(b"event: snapshot")
            await asyncio.sleep(2 * SHORT)
            assert stream.is_open()
            assert (await kept.ask(request_bytes("GET", "/livez"))).status_code == 200
