"""Probes: all that come within a second share one check of the store."""

import asyncio
from unittest.mock import AsyncMock, Mock

import pytest

from receiver.http_api import readiness as readiness_module
from receiver.http_api.readiness import Readiness
from store.errors import (
    OutcomeUnknown,
    StoreBusy,
    StoreCorrupt,
    StoreFull,
    StoreLocked,
    StoreUnavailable,
)
from tests.http_api.raw_http import raw_connection, request_bytes
from tests.support.manual_clock import ManualClock
from tests.support.service import RunningService


@pytest.fixture
def check() -> AsyncMock:
    """The store's check."""
    return AsyncMock()


async def test_an_answer_holds_for_a_second(check: AsyncMock) -> None:
    clock = ManualClock()
    readiness = Readiness(Mock(check_writable=check), clock)
    for error, code in (
        *((None, None), (StoreFull("no room"), "full"), (StoreBusy("b"), "busy")),
        *((StoreLocked("l"), "locked"), (StoreCorrupt("c"), "corrupt")),
        *((StoreUnavailable("u"), "unavailable"), (OutcomeUnknown("o"), "unavailable")),
    ):
        check.side_effect, before = error, check.await_count
        assert [await readiness.error_code() for _ in range(50)] == [code] * 50
        clock.advance(0.9)
        assert await readiness.error_code() == code
        assert check.await_count == before + 1
        clock.advance(0.1)


async def test_a_check_that_hangs_is_shared_and_given_up(
    check: AsyncMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness_module, "ANSWER_SECONDS", 0.01)
    clock, free = ManualClock(), asyncio.Event()
    readiness = Readiness(Mock(check_writable=check), clock)
    check.side_effect = free.wait
    asking = [readiness.error_code() for _ in range(20)]
    assert await asyncio.gather(*asking) == ["unavailable"] * 20
    assert check.await_count == 1
    free.set()
    clock.advance(1)
    assert await readiness.error_code() is None


async def test_a_service_that_stops_is_alive_and_not_ready(service: RunningService) -> None:
    async with raw_connection(service.url) as connection:
        for path, stopping, status, code in (
            ("/readyz", False, 200, "ok"),
            ("/readyz", True, 503, "stopping"),
            ("/livez", True, 200, "ok"),
        ):
            if stopping:
                service.inner.begin_stop()
            answer = await connection.ask(request_bytes("GET", path))
            body = answer.json()
            assert (answer.status_code, body.get("code", body["status"])) == (status, code)
