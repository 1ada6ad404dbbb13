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


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def readiness(check: AsyncMock, clock: ManualClock) -> Readiness:
    return Readiness(Mock(check_writable=check), clock)


async def test_an_answer_holds_for_a_second(
    readiness: Readiness, check: AsyncMock, clock: ManualClock
) -> None:
    for error, code in ((None, None), (StoreFull("no room"), "full"), (None, None)):
        check.side_effect, before = error, check.await_count
        assert [await readiness.error_code() for _ in range(50)] == [code] * 50
        clock.advance(0.9)
        check.side_effect = StoreUnavailable("asked too early")
        assert await readiness.error_code() == code
        assert check.await_count == before + 1
        clock.advance(0.1)


async def test_concurrent_callers_share_one_check(
    readiness: Readiness, check: AsyncMock, clock: ManualClock
) -> None:
    free = asyncio.Event()
    check.side_effect = free.wait
    asking = [asyncio.create_task(readiness.error_code()) for _ in range(20)]
    await asyncio.sleep(0)
    asking[0].cancel()  # one caller disconnects, which does not affect the others
    clock.advance(5)  # the check is slow, and still the only one
    asking.append(asyncio.create_task(readiness.error_code()))
    await asyncio.sleep(0)
    free.set()

    assert await asyncio.gather(*asking[1:]) == [None] * 20
    assert await readiness.error_code() is None  # an answer is good for a second from its end
    assert check.await_count == 1


async def test_a_check_that_hangs_is_answered_meanwhile(
    readiness: Readiness, check: AsyncMock, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An earlier check may have failed for a known reason. After a good one, nothing is known.
    for before, code in (
        (None, "unavailable"),
        (StoreLocked("l"), "locked"),
        (None, "unavailable"),
    ):
        check.side_effect, asked, free = before, check.await_count, asyncio.Event()
        await readiness.error_code()
        clock.advance(1)
        check.side_effect = free.wait
        with monkeypatch.context() as hurried:
            hurried.setattr(readiness_module, "ANSWER_SECONDS", 0.01)
            assert [await readiness.error_code() for _ in range(2)] == [code] * 2
        free.set()

        assert await readiness.error_code() is None
        assert check.await_count == asked + 2
        clock.advance(1)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StoreBusy("b"), "busy"),
        (StoreCorrupt("c"), "corrupt"),
        (StoreUnavailable("u"), "unavailable"),
        (OutcomeUnknown("o"), "unavailable"),
    ],
)
async def test_each_error_has_its_code(
    readiness: Readiness, check: AsyncMock, error: Exception, code: str
) -> None:
    check.side_effect = error
    assert await readiness.error_code() == code


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
