"""Clients that are slow or never finish: each is cut off in time, and no other client is."""

import asyncio

import pytest

from receiver.http_api import body
from receiver.server import serve
from tests.http_api.raw_http import raw_connection, request_bytes, sending
from tests.support.documented import assert_problem
from tests.support.service import RunningService

SHORT = 0.5
"""Seconds that replace the longer limits."""
PAUSE = SHORT / 10
"""Seconds between two bytes of a client that trickles."""


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
