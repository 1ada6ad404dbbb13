"""The poller: the order of calls."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from receiver.domain.answers import StatusMissing
from receiver.domain.lifecycle import decider
from receiver.domain.observations import CancelRequested, Polled
from receiver.domain.schedule import Rules
from receiver.engine import poller as poller_module
from receiver.engine.poller import POLL_LEASE, Poller
from receiver.engine.provider_calls import CANCEL_WAIT
from store.errors import StoreUnavailable
from store.keys import User
from store.records.jobs import Job, Phase
from store.records.moves import Move
from store.records.times import Due, Lane
from tests.engine.due_jobs import claimed, due_polls, finish_at_next_call
from tests.engine.harness import RATE, STEP, Harness, step
from tests.store.world import SECOND


@pytest.mark.parametrize("rate", [10.0, 50.0, 330.0])
async def test_due_polls_get_a_fifth_of_the_rate_while_claims_wait(
    harness: Harness, rate: float
) -> None:
    finish_at_next_call(harness)
    worker = harness.poller(rate)
    await due_polls(harness, 60)
    for batch in range(4):  # the writer's queue is bounded
        names = [f"claim-{batch}-{number}" for number in range(60)]
        await asyncio.gather(*(claimed(harness, name) for name in names))

    calls = 0
    while calls < 200:
        calls += await step(harness, worker)

    polls = sum(name.startswith("poll-") for name in harness.provider.asked)
    # Within two calls: a step need not allow a multiple of five calls.
    assert calls / 5 - 2 <= polls <= calls / 5 + 2


async def test_claims_or_polls_alone_get_the_whole_rate(harness: Harness) -> None:
    finish_at_next_call(harness)
    worker = harness.poller(RATE)
    await harness.accepted_job("poll-later", poll_at=harness.clock.now() + 60 * SECOND)
    assert await worker.run_once() == 0
    for number in range(20):
        await claimed(harness, f"claim-{number}")

    assert [await step(harness, worker) for _ in range(4)] == [5] * 4
    assert harness.provider.asked == [f"claim-{number}" for number in range(20)]

    await due_polls(harness, 20)
    assert [await step(harness, worker) for _ in range(4)] == [5] * 4


async def test_users_take_turns_in_confirming_calls(harness: Harness) -> None:
    finish_at_next_call(harness)
    worker = harness.poller(RATE)
    for number in range(30):
        await claimed(harness, f"ann's {number}", harness.world.ann)
    await claimed(harness, "bob's", harness.world.bob)

    await step(harness, worker)

    assert "bob's" in harness.provider.asked[:2]


@pytest.mark.parametrize("lane", [Lane.CONFIRM, Lane.POLL])
async def test_users_take_turns_with_what_is_due_in_the_store(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, lane: Lane
) -> None:
    monkeypatch.setattr(poller_module, "CONFIRMS_AHEAD", 6)
    finish_at_next_call(harness)

    async def make_due(name: str, user: User) -> None:
        if lane is Lane.CONFIRM:
            await claimed(harness, name, user)
        else:
            await harness.accepted_job(name, user, poll_at=harness.clock.now())

    worker = harness.poller(RATE)
    assert await worker.run_once() == 0
    for number in range(30):
        await make_due(f"ann's {number}", harness.world.ann)
    assert await step(harness, worker) == 5
    for number in range(2):
        await make_due(f"bob's {number}", harness.world.bob)

    assert [await step(harness, worker) for _ in range(5)] == [5] * 5
    asked = harness.provider.asked
    assert asked.index("bob's 0") < 10
    assert asked.index("bob's 1") < 12
    assert [name for name in asked if "ann" in name] == [f"ann's {n}" for n in range(28)]


async def test_while_another_waits_a_user_s_confirming_calls_take_half_of_the_slots(
    harness: Harness,
) -> None:
    harness.provider.waits_for = asyncio.Event()
    worker = harness.poller(concurrency=4)
    for user in (harness.world.ann, harness.world.bob):
        for number in range(4):
            await claimed(harness, f"{user.name} {number}", user)
    for _ in range(4):
        harness.clock.advance(STEP)
        await worker.run_once()
    assert sorted(harness.provider.asked) == ["ann 0", "ann 1", "bob 0", "bob 1"]


@pytest.mark.parametrize("stopping", [False, True])
async def test_an_answer_is_kept_until_the_store_takes_it_or_the_service_stops(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, stopping: bool
) -> None:
    monkeypatch.setattr(poller_module, "POLL_DRAIN_SECONDS", 0.01)
    finish_at_next_call(harness)
    worker = harness.poller(RATE)
    job = await harness.accepted_job("up", poll_at=harness.clock.now())
    advance, refusals = harness.store.jobs.advance, iter(range(3))

    async def refuse(*args: Any, **named: Any) -> Any:
        await asyncio.sleep(0)
        if stopping or next(refusals, None) is not None:
            raise StoreUnavailable("the disk is away")
        return await advance(*args, **named)

    monkeypatch.setattr(harness.store.jobs, "advance", refuse)
    harness.clock.advance(STEP)
    assert await worker.run_once() == 1
    await (worker.stop() if stopping else worker._task_pool.drain())
    assert (await harness.find(job)).done == (not stopping)
    assert await harness.lease("another", Lane.POLL) == ([job.id] if stopping else [])
    assert harness.provider.asked == ["up"]


async def _asked(harness: Harness) -> tuple[Poller, Job, asyncio.Event]:
    """A poller, a job whose confirming call has begun, and the event that answers it."""
    harness.provider.waits_for = answered = asyncio.Event()
    worker = harness.poller(RATE)
    job = await claimed(harness, "claim")
    harness.clock.advance(STEP)
    assert await worker.run_once() == 1
    return worker, job, answered


async def test_after_an_outdated_answer_the_job_can_be_leased_again(harness: Harness) -> None:
    worker, job, answered = await _asked(harness)
    now, rules = harness.clock.now(), harness.services.rules
    earlier = Polled(1, now - SECOND, "claim", StatusMissing(retry_after=SECOND))
    await harness.store.jobs.advance(job.id, decider(earlier, harness.clock.now, rules))
    harness.clock.advance(60)
    assert await worker.run_once() == 0, "it is leased again, and still running"

    answered.set()
    await worker._task_pool.drain()

    assert (await harness.find(job)).tracking.claims
    assert await harness.lease("another", Lane.CONFIRM) == [job.id]


async def test_an_unconfirmed_job_that_release_1_0_0_would_poll_waits_for_its_deadline(
    harness: Harness,
) -> None:
    """Without a provider id there is nothing to ask about, so no call is counted."""
    job, now = await harness.world.create(), harness.clock.now()
    lost = replace(
        job,
        phase=Phase.SUBMIT_UNCONFIRMED,
        attempts=1,
        maybe_sent=True,
        unconfirmed_at=now,
        due=Due(Lane.POLL, now),
    )
    await harness.world.advance(job, lambda _: Move(lost))
    worker = harness.poller(RATE)

    await step(harness, worker)

    assert harness.provider.asked == []
    after = await harness.find(job)
    assert after.phase is Phase.SUBMIT_UNCONFIRMED
    assert after.due == Due(Lane.WAIT, now + Rules().unconfirmed_deadline)


async def test_stopping_releases_claims_that_were_not_started(harness: Harness) -> None:
    finish_at_next_call(harness)
    worker = harness.poller(rate=10.0)
    jobs = [await claimed(harness, f"claim-{number}") for number in range(3)]
    assert await step(harness, worker) == 1
    assert await harness.lease("another", Lane.CONFIRM) == []

    await worker.stop()

    assert await harness.lease("another", Lane.CONFIRM) == [job.id for job in jobs[1:]]


@pytest.mark.parametrize("is_given_up", [False, True])
async def test_a_cancel_waits_for_a_day_until_its_provider_is_configured_again(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, is_given_up: bool
) -> None:
    harness.provider.can_cancel = True
    job = await harness.accepted_job("up-1", maybe_sent=True)
    requested = CancelRequested(frozenset({harness.provider.name}))
    decide = decider(requested, harness.clock.now, harness.services.rules)
    await harness.store.jobs.advance(job.id, decide)
    worker = harness.poller()
    with monkeypatch.context() as without:
        without.delitem(harness.services.providers, harness.provider.name)
        rate_limiter = worker._calls._rate_limiter
        free = rate_limiter.free(harness.clock.monotonic())
        assert await step(harness, worker) == 1
        assert (await harness.find(job)).cancel_wanted
        assert rate_limiter.free(harness.clock.monotonic()) == free
        if is_given_up:
            harness.clock.advance(CANCEL_WAIT / 1_000)
            assert await step(harness, worker) == 1
            assert not (await harness.find(job)).cancel_wanted
            return

    harness.clock.advance(POLL_LEASE / 1_000)
    assert await step(harness, worker) == 1

    assert not (await harness.find(job)).cancel_wanted
