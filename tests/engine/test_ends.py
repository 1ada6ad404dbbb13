"""Each end of a job is counted once, whatever has brought it."""

import json
from functools import partial

import pytest

from receiver.domain.answers import StatusReport
from receiver.domain.observations import StatusCallEnded
from receiver.engine.accept_callback import CallbackIntake
from receiver.engine.lanes import LaneWorker
from receiver.engine.observe_job import count_ends, observe_job
from receiver.engine.timeouts import Timeouts
from receiver.large_bodies import LargeBodies
from receiver.providers.samsar.upstream import read_report
from store.records.jobs import ErrorCode, Job, Phase
from store.records.times import Due, Lane
from tests.engine.harness import COMPLETED, Harness, step
from tests.store.world import SECOND, failed


@pytest.fixture(autouse=True)
def counted(harness: Harness) -> None:
    harness.hub.add_commit_listener(partial(count_ends, harness.services.metrics))


def ends(harness: Harness) -> dict[str, float]:
    """How many ends were counted, by status and evidence."""
    samples = [
        each
        for metric in harness.services.metrics.jobs_finished.collect()
        for each in metric.samples
        if each.name.endswith("_total")
    ]
    return {f"{each.labels['status']} {each.labels['evidence']}": each.value for each in samples}


async def call_back(harness: Harness, job: Job) -> None:
    intake = CallbackIntake(harness.services, LargeBodies(harness.clock))
    await intake.accept("samsar", job.id, COMPLETED, (), verified=True)


async def test_by_a_callback(harness: Harness) -> None:
    job = await harness.accepted_job("up")
    await call_back(harness, job)
    await call_back(harness, job)
    assert ends(harness) == {"COMPLETED callback": 1}


async def test_by_a_status_call(harness: Harness) -> None:
    job = await harness.due_poll("up")
    report = read_report(json.loads(COMPLETED))
    ended = StatusCallEnded(1, harness.clock.now(), "up", StatusReport(report))
    for _ in range(2):
        await observe_job(harness.services, job.id, ended)
    assert ends(harness) == {"COMPLETED poll": 1}


async def test_by_a_look_at_a_lane(harness: Harness) -> None:
    due = Due(Lane.WAIT, harness.clock.now() + SECOND)
    await harness.world.create(phase=Phase.SUBMIT_UNCONFIRMED, unconfirmed_at=0, due=due)
    await step(harness, LaneWorker(Timeouts(harness.services, harness.hub), harness.clock), 1)
    assert ends(harness) == {"FAILED deadline": 1}


async def test_by_the_correction_of_a_failure(harness: Harness) -> None:
    job = await harness.accepted_job("up")
    await harness.world.advance(job, failed(code=ErrorCode.DEADLINE_EXCEEDED))
    await call_back(harness, job)
    assert ends(harness) == {"COMPLETED callback": 1}
