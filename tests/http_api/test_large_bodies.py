"""Large bodies, one of which can take a tenth of a second of the event loop."""

import asyncio
import json
from contextlib import ExitStack

import pytest
from starlette.requests import Request

from receiver import large_bodies
from receiver.http_api.body import Bodies
from receiver.large_bodies import LARGE, MAX_BYTES, MAX_SENDER_BYTES, LargeBodies
from tests.http_api.accepted_job import AcceptedJob
from tests.http_api.raw_http import raw_connection, request_bytes
from tests.simulation.client import Exchange, scope
from tests.support.documented import assert_problem
from tests.support.manual_clock import ManualClock
from tests.support.service import JOB, RunningService, eventually

ANN, BOB = 1, 2


async def test_large_bodies_take_turns_by_user_with_pauses_between() -> None:
    """Each takes a tenth of a second to parse."""
    clock, begun = ManualClock(), list[tuple[str, float]]()
    bodies = Bodies(2 * LARGE, LargeBodies(clock))

    async def read(name: str, user_id: int) -> None:
        def parse(_: bytes) -> None:
            begun.append((name, clock.passed / 1_000))
            clock.advance(0.1)

        exchange = Exchange(b"x" * (LARGE + 1))
        request = Request(scope("POST", "/v1/jobs", {}), exchange.receive)
        await bodies.read(request, user_id, parse)

    await asyncio.gather(*(read(f"ann {n}", ANN) for n in range(3)), read("bob", BOB))
    assert begun == [("ann 0", 0.0), ("bob", 0.2), ("ann 1", 0.4), ("ann 2", 0.6)]


FULL = [(user, MAX_SENDER_BYTES) for user in range(MAX_BYTES // MAX_SENDER_BYTES)]


@pytest.mark.parametrize(
    ("bodies", "fits"),
    [
        ([(ANN, MAX_SENDER_BYTES), (ANN, 0)], True),
        ([(ANN, MAX_SENDER_BYTES + 1)], False),
        ([(ANN, 1), (ANN, MAX_SENDER_BYTES)], False),
        ([*FULL, (100, 0)], True),
        ([*FULL, (100, 1)], False),
    ],
)
def test_bodies_under_way_have_limited_room(bodies: list[tuple[int, int]], fits: bool) -> None:
    """Of each, what is over `LARGE` counts, against the limits of its sender and of all."""
    large = LargeBodies(ManualClock())
    for _ in range(2):  # what was held is free again
        with ExitStack() as under_way:
            granted = []
            for sender, beyond in bodies:
                grow_to = under_way.enter_context(large.room(sender))
                granted += [grow_to(LARGE // 2), grow_to(LARGE + beyond)]
            assert granted == [*[True] * (len(granted) - 1), fits]


async def test_a_user_with_too_much_under_way_is_refused_and_others_are_not(
    shared_service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_bodies, "MAX_SENDER_BYTES", LARGE)
    key = await shared_service.key()
    started = request_bytes("POST", "/v1/jobs", API_KEY=key, Content_Length=str(2 * LARGE))
    too_many, fitting = json.dumps(JOB).ljust(LARGE + 2), json.dumps(JOB).ljust(LARGE)
    client, other = shared_service.client(key), await shared_service.user("other")
    async with raw_connection(shared_service.url) as connection:
        await connection.send(started)

        async def is_refused() -> bool:
            answer = await client.post("/v1/jobs", content=too_many)
            if answer.status_code != 503:
                return False
            assert answer.headers["Retry-After"]
            assert_problem(answer, 503, "too_many_large_bodies")
            return True

        await eventually(is_refused, bool, "a refusal")
        assert (await client.post("/v1/jobs", content=fitting)).status_code == 202
        assert (await other.post("/v1/jobs", content=too_many)).status_code == 202
    await eventually(is_refused, lambda refused: not refused, "room again")


async def test_of_a_job_with_too_many_large_callbacks_under_way_one_is_refused(
    job: AcceptedJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_bodies, "MAX_SENDER_BYTES", 0)

    await job.send({"status": "IN_PROGRESS", "message": "x" * LARGE}, 503)
    await job.send({"status": "IN_PROGRESS"})
