"""Submissions: each job is sent once, users take turns, and pauses after an answer "later"."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from receiver.domain.answers import (
    SubmitAccepted,
    SubmitAnswer,
    SubmitNotSent,
)
from receiver.domain.observations import SubmissionLost
from receiver.engine.cancel_job import cancel_job
from receiver.engine.lanes import LaneWorker
from receiver.engine.observe_job import observe_job
from receiver.engine.submissions import BegunSubmission, Submissions
from receiver.engine.timeouts import Timeouts
from store.keys import User
from store.records.jobs import ErrorCode, Job, Phase, Status
from store.records.times import Lane
from tests.engine.harness import Harness, begin, step
from tests.store.world import SECOND
from tests.support.service import eventually

LATER = SubmitNotSent("busy", status_code=429)


@pytest.fixture
def lane(harness: Harness) -> Submissions:
    return Submissions(harness.services, harness.hub, lambda job: job.id, slots=4)


class Submitting(LaneWorker[BegunSubmission]):
    """Also ends the jobs' own pauses, which is another worker's task."""

    def __init__(self, lane: Submissions, harness: Harness) -> None:
        super().__init__(lane, harness.clock)
        self._timeouts = LaneWorker(Timeouts(harness.services, harness.hub), harness.clock)

    async def run_once(self) -> int:
        await self._timeouts.run_once()
        return await super().run_once()


@pytest.fixture
def worker(harness: Harness, lane: Submissions) -> LaneWorker[BegunSubmission]:
    return Submitting(lane, harness)


async def phases(harness: Harness, jobs: Sequence[Job]) -> list[Phase]:
    return [(await harness.find(job)).phase for job in jobs]


async def create(harness: Harness, user: User | None = None, count: int = 1) -> list[Job]:
    now = harness.clock.now()
    return [await harness.world.create(user, at=now) for _ in range(count)]


def later_for(*jobs: Job, **details: Any) -> Callable[[str], SubmitAnswer]:
    refused = {job.id for job in jobs}
    later = SubmitNotSent("busy", status_code=429, **details)
    return lambda job_id: later if job_id in refused else SubmitAccepted(f"up-{job_id}")


# --- once -----------------------------------------------------------------------------------------


async def test_nothing_is_sent_after_the_end_of_its_lease(
    harness: Harness, worker: LaneWorker[BegunSubmission], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was suspended could send hours later."""
    (job,) = await create(harness)
    input_to_send = harness.store.jobs.input_to_send

    async def after_a_suspension(job_id: str) -> Any:
        harness.clock.advance(harness.services.rules.submit_lease / SECOND)
        return await input_to_send(job_id)

    monkeypatch.setattr(harness.store.jobs, "input_to_send", after_a_suspension)
    await step(harness, worker)
    assert harness.provider.submitted == []
    assert await phases(harness, [job]) == [Phase.QUEUED]


async def test_a_job_that_another_process_begins_meanwhile_is_not_sent(
    harness: Harness, worker: LaneWorker[BegunSubmission], tmp_path: Path
) -> None:
    """Its lease had ended before the store began the submission."""
    await create(harness)
    with closing(sqlite3.connect(tmp_path / "receiver.db")) as other:
        other.execute("UPDATE jobs SET phase = 'submitting', attempts = 1")
        other.commit()
    await step(harness, worker)
    assert harness.provider.submitted == []


async def test_a_cancel_stops_an_attempt_that_has_begun_and_is_not_sent(
    harness: Harness, lane: Submissions
) -> None:
    (job,) = await create(harness)
    (attempt,) = await lane.take(1, {})
    await cancel_job(harness.services, job.id)
    await lane.handle(attempt)

    assert harness.provider.submitted == []
    assert (await harness.find(job)).status is Status.CANCELLED
    (submission,) = [
        line.detail
        for line in await harness.store.jobs.history_of(job.id)
        if line.type == "submission"
    ]
    assert submission["outcome"] == "not_sent"


# --- what it waited for ---------------------------------------------------------------------------


async def waited(harness: Harness, job: Job) -> list[Any]:
    """What the job waited for before each attempt."""
    history = await harness.store.jobs.history_of(job.id)
    return [line.detail.get("waited") for line in history if line.type == "submission"]


def replica(harness: Harness, slots: int = 4, **limits: int) -> LaneWorker[BegunSubmission]:
    """Another process with these limits of jobs in flight."""
    rules = replace(harness.services.rules, jobs_in_flight=limits)
    services = replace(harness.services, rules=rules)
    return Submitting(Submissions(services, harness.hub, lambda job: job.id, slots), harness)


async def test_a_job_that_is_sent_at_once_has_waited_for_nothing(
    harness: Harness, worker: LaneWorker[BegunSubmission]
) -> None:
    (job,) = await create(harness)
    await step(harness, worker, 0.9)
    assert await waited(harness, job) == [None]


async def test_a_job_says_that_it_waited_for_a_place(harness: Harness) -> None:
    worker = replica(harness, samsar=1)
    first, second = await create(harness, count=2)
    await step(harness, worker, 0)
    await step(harness, worker, 1)
    harness.clock.advance(11)
    await cancel_job(harness.services, first.id)
    await step(harness, worker, 0)
    assert await waited(harness, first) == [None]
    assert await waited(harness, second) == [{"reason": "place", "seconds": 12}]

    # That its provider was full before says nothing of a later job.
    await cancel_job(harness.services, second.id)
    harness.clock.advance(1)
    (third,) = await create(harness)
    await step(harness, worker, 0.5)
    assert await waited(harness, third) == [None]


async def test_a_job_says_that_it_waited_for_its_turn(harness: Harness) -> None:
    worker = replica(harness, slots=1)
    harness.provider.waits_for = answered = asyncio.Event()
    first, second = await create(harness, count=2)
    assert await begin(worker) == 1
    harness.clock.advance(0.25)
    answered.set()
    await worker.finish()
    await step(harness, worker, 0.25)
    assert await waited(harness, first) == [None]
    assert await waited(harness, second) == [{"reason": "turn", "seconds": 0.5}]


async def test_a_job_says_that_it_waited_for_the_end_of_a_pause(
    harness: Harness, worker: LaneWorker[BegunSubmission]
) -> None:
    (refused,) = await create(harness, harness.world.ann)
    harness.provider.submit_answer = later_for(refused)
    await step(harness, worker, 0)
    (held_back,) = await create(harness, harness.world.bob)
    harness.provider.submit_answer = later_for()
    await step(harness, worker, 0.5)
    await step(harness, worker, 0.5)
    await step(harness, worker, 0.5)
    # Its own pause, of a second and the jitter of none.
    assert await waited(harness, refused) == [None, {"reason": "pause", "seconds": 1.5}]
    assert await waited(harness, held_back) == [{"reason": "pause", "seconds": 1}]


async def test_a_process_that_has_just_started_says_how_long_a_job_waited(
    harness: Harness,
) -> None:
    (job,) = await create(harness)
    await step(harness, replica(harness), 60)
    assert await waited(harness, job) == [{"reason": "turn", "seconds": 60}]


async def test_what_a_job_waited_for_outlives_the_process_that_sent_it(
    harness: Harness,
) -> None:
    (job,) = await create(harness)
    harness.clock.advance(60)
    lane = Submissions(harness.services, harness.hub, lambda job: job.id, slots=1)
    await lane.take(1, {})
    await observe_job(harness.services, job.id, SubmissionLost("the process is gone"))
    assert await waited(harness, job) == [{"reason": "turn", "seconds": 60}]


# --- at a stop ------------------------------------------------------------------------------------


async def test_a_stop_sends_nothing_more_and_leaves_nothing_in_between(
    harness: Harness, lane: Submissions, worker: LaneWorker[BegunSubmission]
) -> None:
    harness.provider.waits_for = asyncio.Event()
    lane.drain_seconds = 0.01  # type: ignore[misc]  # of this instance alone
    (sent,) = await create(harness)
    await worker.run_once()
    await harness.provider.called.wait()
    (taken,) = await create(harness)
    taking = asyncio.create_task(worker.run_once())
    await asyncio.sleep(0)
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    # Its attempt was begun all the same, and is given back before anything is cancelled.
    await eventually(lambda: harness.find(taken), lambda job: job.attempts == 1)
    await eventually(lambda: harness.find(taken), lambda job: job.phase is Phase.QUEUED)
    await worker.stop()

    assert await phases(harness, [sent, taken]) == [Phase.SUBMIT_UNCONFIRMED, Phase.QUEUED]
    assert harness.provider.submitted == [sent.id]


# --- in turn --------------------------------------------------------------------------------------


async def test_one_user_s_many_jobs_cost_another_user_one_slot_s_time(
    harness: Harness, worker: LaneWorker[BegunSubmission]
) -> None:
    harness.provider.waits_for = answered = asyncio.Event()
    ann = await create(harness, harness.world.ann, 12)
    assert await begin(worker) == 4
    bob = await create(harness, harness.world.bob, 2)
    harness.clock.advance(1)
    assert await begin(worker) == 0

    answered.set()
    await worker.finish()
    assert await begin(worker) == 4
    await worker.finish()
    second_round = set(harness.provider.submitted[4:])
    assert {job.id for job in bob} <= second_round
    assert len(second_round & {job.id for job in ann}) == 2


# --- pauses ---------------------------------------------------------------------------------------


async def test_after_later_all_pause_for_a_second_then_one_of_another_user_goes_first(
    harness: Harness, worker: LaneWorker[BegunSubmission]
) -> None:
    (refused,) = await create(harness, harness.world.ann)
    harness.provider.submit_answer = later_for(refused)
    await step(harness, worker, 0)
    anns = await create(harness, harness.world.ann, 2)
    bobs = await create(harness, harness.world.bob, 3)
    assert await step(harness, worker, 0.9) == 0

    assert await step(harness, worker, 0.1) == 1
    assert harness.provider.submitted[1:] == [bobs[0].id]

    # It was accepted: bob's others go at once, and ann's one at a time, until one is answered.
    assert await step(harness, worker, 0) == 3
    sent = {*harness.provider.submitted[2:]}
    assert sent >= {bobs[1].id, bobs[2].id}
    assert len(sent & {refused.id, *(job.id for job in anns)}) == 1


async def test_a_user_who_is_always_told_later_costs_the_others_a_second_each_time(
    harness: Harness, worker: LaneWorker[BegunSubmission]
) -> None:
    anns = await create(harness, harness.world.ann, 4)
    told = {job.id for job in anns}
    harness.provider.submit_answer = later_for(*anns)
    waits: list[int] = []
    for _ in range(200):
        (bob,) = await create(harness, harness.world.bob)
        wait = 0
        while (await harness.find(bob)).phase is not Phase.ACCEPTED and wait < 30:
            await step(harness, worker, 0.05)
            wait += 1
        waits.append(wait)
    refusals = [each for each in harness.provider.submitted if each in told]
    assert max(waits) <= 22, "in steps of 50 ms"
    assert sum(wait > 2 for wait in waits) <= len(refusals)
    assert 5 <= len(refusals) <= 8, "the user's own pauses grow"


@pytest.mark.parametrize(("retry_after", "paused"), [(None, 1), (300, 0.3), (86_400 * SECOND, 1)])
async def test_a_retry_after_holds_the_job_itself_and_a_short_one_shortens_the_pause(
    harness: Harness, worker: LaneWorker[BegunSubmission], retry_after: int | None, paused: float
) -> None:
    (refused,) = await create(harness, harness.world.ann)
    harness.provider.submit_answer = later_for(refused, retry_after=retry_after)
    await step(harness, worker, 0)
    job = await harness.find(refused)
    assert job.due is not None
    wait = job.due.at - harness.clock.now()
    assert wait >= min(retry_after or 0, harness.services.rules.job_deadline - SECOND)
    gauge, provider = "receiver_submissions_paused", {"provider": "samsar"}
    is_paused = partial(harness.services.metrics.registry.get_sample_value, gauge, provider)
    harness.clock.advance(paused - 0.01)
    assert is_paused() == 1
    harness.clock.advance(0.02)
    assert is_paused() == 0


async def test_a_waiting_job_fails_at_its_deadline_although_all_pause(
    harness: Harness, worker: LaneWorker[BegunSubmission]
) -> None:
    (refused,) = await create(harness, harness.world.ann)
    day = 86_400 * SECOND
    harness.provider.submit_answer = lambda _: SubmitNotSent("busy", day, 503)
    await step(harness, worker, 0)
    for _ in range(int(harness.services.rules.job_deadline / SECOND / 60) + 1):
        await step(harness, worker, 60)
    job = await harness.find(refused)
    assert job.error is not None
    assert job.error.code is ErrorCode.NOT_SUBMITTED
    assert not job.error.may_have_been_billed
    assert harness.provider.submitted == [refused.id]


async def test_a_job_of_a_provider_that_is_not_configured_waits(
    harness: Harness, worker: LaneWorker[BegunSubmission]
) -> None:
    job = await harness.world.create(provider="gone")
    await step(harness, worker)
    found = await harness.find(job)
    assert (found.phase, found.due and found.due.lane) == (Phase.QUEUED, Lane.WAIT)
