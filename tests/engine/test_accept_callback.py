"""Callbacks that our code cannot apply, and large ones."""

import json
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from receiver.domain.answers import Report
from receiver.engine.accept_callback import CallbackIntake
from receiver.large_bodies import LARGE, LargeBodies
from store.callbacks import Receipt
from store.records.jobs import Job, Phase
from store.records.times import Due, Lane
from tests.engine.harness import RUNNING, Harness


@pytest.fixture
def intake(harness: Harness) -> CallbackIntake:
    return CallbackIntake(harness.services, LargeBodies(harness.clock))


async def accept(intake: CallbackIntake, job: Job, body: bytes) -> Receipt:
    return await intake.accept("samsar", job.id, body, (), verified=False)


@pytest.mark.parametrize(
    "body",
    [
        {"poison": "read"},
        {"says": {"progress": "half"}},
        {"status": "FAILED", "says": {"message": "\ud800"}},
    ],
    ids=["read", "decided", "written"],
)
async def test_what_cannot_be_applied_is_kept_and_its_job_polled(
    harness: Harness, intake: CallbackIntake, body: dict[str, Any]
) -> None:
    job = await harness.accepted_job("up-1", poll_at=harness.clock.now() + 60_000)
    raw = json.dumps(body).encode()

    assert await accept(intake, job, raw) is Receipt.FAILED

    assert await harness.verdicts(job) == ["failed"]
    found = await harness.find(job)
    assert found.due == Due(Lane.POLL, harness.clock.now())
    assert found.seq == job.seq
    assert await accept(intake, job, raw) is Receipt.DUPLICATE
    assert await accept(intake, job, RUNNING) is Receipt.ACCEPTED
    assert (await harness.find(job)).phase is Phase.RENDERING


async def test_a_large_body_is_read_beside_the_event_loop(
    harness: Harness, intake: CallbackIntake, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart, read = list[bool](), harness.provider.read

    def noting(body: Mapping[str, Any]) -> Report:
        apart.append(threading.current_thread() is not threading.main_thread())
        return read(body)

    monkeypatch.setattr(harness.provider, "read", noting)
    job = await harness.accepted_job("up-1")
    for more in (0, 1):
        body = RUNNING.ljust(LARGE + more)
        assert await accept(intake, job, body) is Receipt.ACCEPTED
    assert apart == [False, True]
