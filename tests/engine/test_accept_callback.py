"""Callbacks that our code cannot apply, and those that 1.0.0 left unapplied."""

import json
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from receiver.domain.answers import Report, StatusReport
from receiver.domain.observations import (
    StatusCallEnded,
    SubmissionBegins,
    SubmissionLost,
    TimeoutReached,
)
from receiver.engine.accept_callback import CallbackIntake
from receiver.engine.observe_job import observe_job
from receiver.large_bodies import LARGE, LargeBodies
from receiver.providers.samsar import read_report
from store.callbacks import Receipt
from store.records.jobs import ErrorCode, Job, Phase, Status
from store.records.times import Due, Lane
from tests.engine.harness import COMPLETED, LEASE, RUNNING, Harness
from tests.store.applying import leave_unapplied


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


async def test_what_was_left_unapplied_is_applied_in_order(
    harness: Harness, intake: CallbackIntake
) -> None:
    """It may be the only proof that a job was submitted."""
    job, other = await harness.world.create(), await harness.world.create()
    for body in (RUNNING, b'{"request_id":"up-1"}', b"no object", b'{"poison":"read"}'):
        await harness.world.receive(job, body)
    await harness.world.receive(other, COMPLETED)
    await leave_unapplied(harness.store)

    await intake.apply_left()

    assert await harness.verdicts(job) == ["applied", "applied", "rejected", "failed"]
    found = await harness.find(job)
    assert (found.status, found.provider_request_id) == (Status.IN_PROGRESS, "up-1")
    assert found.due is not None
    assert found.due.lane is Lane.POLL
    assert await harness.verdicts(other) == ["claimed"]


async def test_what_a_replica_of_1_0_0_leaves_later_is_applied_by_the_next_start(
    harness: Harness, intake: CallbackIntake
) -> None:
    """A replica that is killed during a rolling upgrade. Polls end the jobs whose id is known; only
    this one fails, and is corrected."""
    services, clock, job = harness.services, harness.clock, await harness.world.create()
    for observation in (SubmissionBegins(1, clock.now() + LEASE), SubmissionLost("killed")):
        await observe_job(services, job.id, observation)
    await harness.world.receive(job, b'{"request_id":"up-1",' + COMPLETED[1:])
    await leave_unapplied(harness.store)
    clock.wall_start += services.rules.unconfirmed_deadline
    await observe_job(services, job.id, TimeoutReached())
    failed = await harness.find(job)
    assert failed.error is not None
    assert failed.error.code is ErrorCode.SUBMIT_OUTCOME_UNKNOWN

    await intake.apply_left()

    assert (await harness.find(job)).due == Due(Lane.CONFIRM, clock.now())
    confirmed = StatusReport(read_report(json.loads(COMPLETED)))
    await observe_job(services, job.id, StatusCallEnded(1, clock.now() + 1, "up-1", confirmed))
    assert (await harness.find(job)).status is Status.COMPLETED
    assert await harness.verdicts(job) == ["confirmed"]


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
