"""Status calls: their order and limits, pauses, and requests to cancel."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

import pytest

from receiver.domain.answers import StatusReport, StatusUnavailable
from receiver.domain.lifecycle import decider
from receiver.domain.observations import CancelAnswer, CancelRequested
from receiver.domain.schedule import DAY, Rules
from receiver.engine.lanes import LaneWorker
from receiver.engine.polls import POLL_LEASE, StatusPolls
from receiver.engine.status_calls import PROVIDER_PAUSES, StatusCalls
from receiver.engine.submissions import Submissions
from receiver.engine.waiting import waiting
from receiver.providers.samsar.upstream import read_report
from store.records.jobs import Job, Phase, Tracking
from store.records.times import Due, Lane
from store.records.transitions import Transition
from tests.engine.harness import RATE, STEP, Harness, begin, logged, step
from tests.store.world import SECOND, accepted

FAILED = StatusUnavailable("500")


@pytest.fixture
def worker(harness: Harness) -> LaneWorker[Job]:
    return polling(harness)


def polling(harness: Harness, rate: float = 1_000.0, concurrency: int = 100) -> LaneWorker[Job]:
    """A worker with limits of its own: calls per second, and calls at once."""
    calls = StatusCalls(harness.clock, harness.services.metrics, rate, concurrency)
    services = replace(harness.services, status_calls=calls)
    return LaneWorker(StatusPolls(services, harness.hub, Random(5)), harness.clock)


def finish_at_next_call(harness: Harness) -> None:
    """Make each call finish its job, so that no job is polled twice."""
    said = {"status": "FAILED", "message": "Out of credits."}
    harness.provider.answer = StatusReport(read_report(said))


async def due(harness: Harness, lane: Lane, *names: str) -> list[Job]:
    return [await harness.due_poll(name, lane=lane) for name in names]


# --- order and limits -----------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [10.0, 50.0, 330.0])
async def test_due_polls_get_a_fifth_of_the_rate_while_claims_wait(
    harness: Harness, rate: float
) -> None:
    finish_at_next_call(harness)
    worker = polling(harness, rate)
    await due(harness, Lane.POLL, *(f"poll-{number}" for number in range(40)))
    await due(harness, Lane.CONFIRM, *(f"claim-{number}" for number in range(130)))

    calls = 0
    while calls < 100:
        calls += await step(harness, worker)

    polls = sum(name.startswith("poll-") for name in harness.provider.asked)
    # Within two calls: a step need not allow a multiple of five calls.
    assert calls / 5 - 2 <= polls <= calls / 5 + 2


@pytest.mark.parametrize("lane", [Lane.CONFIRM, Lane.POLL])
async def test_claims_or_polls_alone_get_the_whole_rate_in_order(
    harness: Harness, lane: Lane
) -> None:
    finish_at_next_call(harness)
    worker = polling(harness, RATE)
    assert await worker.run_once() == 0
    names = []
    for number in range(20):
        names.append(f"job-{number:02}")
        await due(harness, lane, names[-1])
        harness.clock.advance(0.001)

    assert [await step(harness, worker) for _ in range(4)] == [5] * 4
    assert harness.provider.asked == names


async def test_a_user_s_calls_that_hang_leave_slots_to_others_as_they_end(
    harness: Harness,
) -> None:
    harness.provider.waits_for = answered = asyncio.Event()
    worker = polling(harness, concurrency=4)
    await due(harness, Lane.POLL, *(f"ann's {number}" for number in range(8)))
    assert await begin(worker) == 4
    await harness.due_poll("bob's", harness.world.bob)
    finish_at_next_call(harness)
    answered.set()
    await worker.finish()
    await begin(worker)
    assert "bob's" in harness.provider.asked[4:6]
    await worker.finish()


async def test_a_job_that_became_due_during_a_call_of_no_use_is_asked_again_at_once(
    harness: Harness, worker: LaneWorker[Job]
) -> None:
    """The provider has reported COMPLETED, and the call's answer is from before that."""
    harness.provider.waits_for = answered = asyncio.Event()
    now = Due(Lane.POLL, harness.clock.now())
    job = await harness.accepted_job("up", due=now, tracking=Tracking(link_missing=True))
    assert await begin(worker) == 1
    harness.clock.advance(1)
    await harness.store.jobs.make_poll_due(job.id, harness.clock.now())
    answered.set()
    await worker.finish()

    assert await step(harness, worker) == 1
    assert harness.provider.asked == ["up", "up"]


async def test_calls_that_come_late_by_a_limit_name_its_setting(harness: Harness) -> None:
    def limited(setting: str) -> float | None:
        name, labels = "receiver_status_calls_limited", {"setting": setting}
        return harness.services.metrics.registry.get_sample_value(name, labels)

    finish_at_next_call(harness)
    worker = polling(harness, RATE)
    await due(harness, Lane.POLL, *(f"job-{number}" for number in range(20)))
    with logged() as lines:
        assert await step(harness, worker) == 5
        assert (limited("POLL_RATE"), limited("POLL_CONCURRENCY")) == (0, 0), "a short burst"
        harness.clock.advance(6)
        assert [await step(harness, worker) for _ in range(3)] == [5] * 3
        assert (limited("POLL_RATE"), limited("POLL_CONCURRENCY")) == (1, 0)
        assert await step(harness, worker) == 0
        assert limited("POLL_RATE") == 0, "nobody waits any more"
    (warning,) = [line for line in lines if line["log_level"] == "warning"]
    assert warning["setting"] == "RECEIVER_POLL_RATE"


async def test_a_job_whose_call_is_late_says_which_setting_is_the_limit(harness: Harness) -> None:
    services = harness.services
    submissions = Submissions(services, harness.hub, lambda job: job.id, 1)
    job = await harness.due_poll("up")
    found = []
    for late in (6_000, 6_000, 0):
        services.status_calls.note_wait("POLL_RATE", late)
        found.append(await waiting(services, submissions, job))
        harness.clock.advance(6)
    named = {"reason": "status_call", "ahead": 0, "detail": "RECEIVER_POLL_RATE"}
    assert found == [None, named, None]


async def test_an_outage_is_two_lines(harness: Harness, worker: LaneWorker[Job]) -> None:
    harness.provider.answer = FAILED
    await due(harness, Lane.POLL, "up-1", "up-2")
    with logged() as lines:
        await step(harness, worker, 0)
        harness.clock.advance(300)
        finish_at_next_call(harness)
        await step(harness, worker, 0)
    shared = {"calls": "status calls", "provider": "samsar"}
    fail = {"event": "calls begin to fail", "reason": "500", "log_level": "warning"}
    recover = {"event": "calls succeed again", "after": 300.0, "log_level": "info"}
    assert [line for line in lines if "calls" in line] == [fail | shared, recover | shared]


# --- pauses ---------------------------------------------------------------------------------------


async def test_after_five_failures_calls_pause_and_jobs_go_on_without_them(
    harness: Harness, quiet_log: Sequence[Mapping[str, object]]
) -> None:
    harness.provider.answer = FAILED
    one_by_one = polling(harness, concurrency=1)
    jobs = await due(harness, Lane.POLL, *(f"up-{number}" for number in range(8)))
    for _ in range(8):
        await step(harness, one_by_one, 0)
    assert len(harness.provider.asked) == 5
    waits = [(await harness.find(job)).due for job in jobs]
    assert all(due is not None and due.at > harness.clock.now() for due in waits)

    finish_at_next_call(harness)
    for _ in range(int((PROVIDER_PAUSES.first + 6) / STEP)):
        await step(harness, one_by_one)
    assert all([(await harness.find(job)).done for job in jobs]), "soon after the recovery"


async def test_before_the_first_pause_calls_go_at_once(harness: Harness) -> None:
    harness.provider.answers = {"bad": FAILED}
    worker = polling(harness)
    await due(harness, Lane.POLL, "bad")
    await step(harness, worker, 0)
    harness.provider.waits_for = answered = asyncio.Event()
    for number in range(3):
        await due(harness, Lane.POLL, f"up-{number}")
        assert await begin(worker) == 1
    answered.set()
    await worker.finish()


async def test_jobs_that_always_fail_hold_up_no_job_of_another_user(
    harness: Harness, worker: LaneWorker[Job], quiet_log: Sequence[Mapping[str, object]]
) -> None:
    finish_at_next_call(harness)
    bad = [f"bad-{number}" for number in range(20)]
    harness.provider.answers = dict.fromkeys(bad, FAILED)
    await due(harness, Lane.POLL, *bad)
    waits = []
    for number in range(5):
        for _ in range(20):
            await step(harness, worker, 2)
        began = harness.clock.monotonic()
        good = await harness.due_poll(f"good-{number}", harness.world.bob)
        while not (await harness.find(good)).done:
            await step(harness, worker, 0.5)
        waits.append(harness.clock.monotonic() - began)
    assert max(waits) <= 8 * PROVIDER_PAUSES.longest, "every second probe is Bob's, at random"


# --- cancel requests ------------------------------------------------------------------------------


async def cancelled(harness: Harness, name: str, provider: str = "samsar") -> Job:
    job = await harness.world.create(provider=provider)
    now = harness.clock.now()
    job = await harness.world.advance(job, accepted(now, provider_request_id=name, maybe_sent=True))
    requested = CancelRequested(frozenset({provider}))
    decide = decider(requested, harness.clock.now, harness.services.rules)
    return await harness.world.advance(job, decide)


async def test_a_lost_submission_that_1_0_0_would_search_for_waits_for_its_deadline(
    harness: Harness, worker: LaneWorker[Job]
) -> None:
    job, now = await harness.world.create(), harness.clock.now()
    lost = replace(
        job,
        phase=Phase.SUBMIT_UNCONFIRMED,
        attempts=1,
        maybe_sent=True,
        unconfirmed_at=now,
        due=Due(Lane.POLL, now),
    )
    await harness.world.advance(job, lambda _: Transition(lost))
    await step(harness, worker)
    assert harness.provider.asked == []
    after = await harness.find(job)
    assert after.phase is Phase.SUBMIT_UNCONFIRMED
    assert after.due == Due(Lane.WAIT, now + Rules().unconfirmed_deadline)


async def test_a_cancel_is_passed_on_once_although_calls_pause(
    harness: Harness, worker: LaneWorker[Job], quiet_log: Sequence[Mapping[str, object]]
) -> None:
    harness.provider.answer = StatusUnavailable("the key", credentials_refused=True)
    await due(harness, Lane.POLL, "other")
    await step(harness, worker)
    job = await cancelled(harness, "up")
    for _ in range(5):
        await step(harness, worker)
    assert harness.provider.cancelled == ["up"]
    assert (await harness.find(job)).due is None


@pytest.mark.parametrize("provider", ["gone", "samsar"])
async def test_a_cancel_that_does_not_arrive_is_repeated_for_a_day(
    harness: Harness, worker: LaneWorker[Job], provider: str
) -> None:
    """Its provider is not configured, or cannot be reached."""
    harness.provider.cancel_answer = CancelAnswer("not_sent", message="could not connect")
    job = await cancelled(harness, "up", provider=provider)
    for _ in range(2):
        await step(harness, worker, POLL_LEASE / SECOND)
        assert (await harness.find(job)).cancel_wanted
    assert harness.provider.cancelled == ["up", "up"] * (provider == "samsar")
    await step(harness, worker, DAY / SECOND)
    assert not (await harness.find(job)).cancel_wanted
