"""Large bodies, one of which can take a tenth of a second of the event loop."""

import asyncio
import threading
from typing import Any

import pytest
from starlette.requests import Request

from receiver import large_bodies
from receiver.engine import accept_callback
from receiver.http_api.body import Bodies
from receiver.http_api.errors import Problem
from receiver.json_text import parse
from receiver.large_bodies import LARGE, LargeBodies
from tests.http_api.accepted_job import AcceptedJob
from tests.simulation.client import Exchange, scope
from tests.support.manual_clock import ManualClock

ANN, BOB = 1, 2


class Reading:
    """Reads bodies that take a tenth of a second to parse, and records when each parse began."""

    def __init__(self) -> None:
        self._clock = ManualClock()
        self._bodies = Bodies(2 * LARGE, LargeBodies(self._clock))
        self.begun: list[tuple[str, float]] = []

    async def read(self, name: str, user_id: int, length: int, *, is_gone: bool = False) -> None:
        def parse(raw: bytes) -> None:
            assert len(raw) == length
            self.begun.append((name, self._clock.passed / 1_000))
            self._clock.advance(0.1)

        exchange = Exchange(b"x" * length)
        request = Request(scope("POST", "/v1/jobs", {}), exchange.receive)
        if is_gone:
            exchange.hang_up()
        await self._bodies.read(request, user_id, parse)


async def test_large_bodies_take_turns_by_user_with_pauses_between() -> None:
    reading = Reading()

    await asyncio.gather(
        *(reading.read(f"ann {n}", ANN, LARGE + 1) for n in range(3)),
        reading.read("bob", BOB, LARGE + 1),
    )

    assert reading.begun == [("ann 0", 0.0), ("bob", 0.2), ("ann 1", 0.4), ("ann 2", 0.6)]


async def test_the_queue_of_a_user_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_bodies, "MAX_LARGE", 2)
    reading = Reading()

    ended = await asyncio.gather(
        *(reading.read(f"ann {n}", ANN, LARGE + 1) for n in range(3)),
        reading.read("bob", BOB, LARGE + 1),
        return_exceptions=True,
    )

    assert [type(end) for end in ended] == [type(None), type(None), Problem, type(None)]
    await reading.read("again", ANN, LARGE + 1)


async def test_a_large_callback_is_parsed_beside_the_event_loop(
    job: AcceptedJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[bool] = []

    def noting(text: str) -> Any:
        threads.append(threading.current_thread() is threading.main_thread())
        return parse(text)

    monkeypatch.setattr(accept_callback, "parse", noting)
    for text in ("small", "x" * LARGE):
        await job.send({"status": "IN_PROGRESS", "message": text})

    await job.wait_for_verdicts("applied", "applied")
    assert threads == [True, False]


async def test_of_too_many_large_callbacks_one_is_refused(
    job: AcceptedJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_bodies, "MAX_LARGE", 0)

    await job.send({"status": "IN_PROGRESS", "message": "x" * LARGE}, 503)
