"""Probes: all that come within a second share one check of the store."""

import asyncio
from typing import Any

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

OK = '{"status":"ok"}'


class Store:
    """Counts its checks, and answers when the test allows it."""

    def __init__(self) -> None:
        self.asked = 0
        self.error: Exception | None = None
        self.free = asyncio.Event()
        self.free.set()

    async def check_writable(self) -> None:
        self.asked += 1
        await self.free.wait()
        if self.error is not None:
            raise self.error


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def readiness(store: Any, clock: ManualClock) -> Readiness:
    return Readiness(store, clock)


async def test_an_answer_holds_for_a_second(
    readiness: Readiness, store: Store, clock: ManualClock
) -> None:
    for error, code in ((None, None), (StoreFull("no room"), "full"), (None, None)):
        store.error, before = error, store.asked
        assert [await readiness.error_code() for _ in range(50)] == [code] * 50
        clock.advance(0.9)
        store.error = StoreUnavailable("asked too early")
        assert await readiness.error_code() == code
        assert store.asked == before + 1
        clock.advance(0.1)


async def test_concurrent_callers_share_one_check(
    readiness: Readiness, store: Store, clock: ManualClock
) -> None:
    store.free.clear()
    asking = [asyncio.create_task(readiness.error_code()) for _ in range(20)]
    await asyncio.sleep(0)
    asking[0].cancel()  # one caller disconnects, which does not affect the others
    clock.advance(5)  # the check is slow, and still the only one
    asking.append(asyncio.create_task(readiness.error_code()))
    await asyncio.sleep(0)
    store.free.set()

    assert await asyncio.gather(*asking[1:]) == [None] * 20
    assert await readiness.error_code() is None  # an answer is good for a second from its end
    assert store.asked == 1


async def test_a_check_that_hangs_is_answered_meanwhile(
    readiness: Readiness, store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An earlier check may have failed for a known reason. After a good one, nothing is known.
    for before, code in (
        (None, "unavailable"),
        (StoreLocked("l"), "locked"),
        (None, "unavailable"),
    ):
        store.error, asked = before, store.asked
        await readiness.error_code()
        clock.advance(1)
        store.free.clear()
        with monkeypatch.context() as hurried:
            hurried.setattr(readiness_module, "ANSWER_SECONDS", 0.01)
            assert [await readiness.error_code() for _ in range(2)] == [code] * 2
        store.error = None
        store.free.set()

        assert await readiness.error_code() is None
        assert store.asked == asked + 2
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
    readiness: Readiness, store: Store, error: Exception, code: str
) -> None:
    store.error = error
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
