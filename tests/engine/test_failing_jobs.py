"""Jobs whose status calls fail, with a breaker and without one."""

import asyncio

import pytest

from receiver.domain.answers import StatusUnavailable
from receiver.domain.call_limits import FIRST_PROBE, LONGEST_PROBE
from receiver.engine import poller as poller_module
from receiver.engine.poller import POLL_LEASE, Poller
from store.keys import User
from store.records.times import Lane
from tests.engine.due_jobs import claimed, due_polls, finish_at_next_call
from tests.engine.harness import LEASE, STEP, CallRecorder, Harness, step
from tests.store.world import NOW, SECOND


async def failing(harness: Harness, worker: Poller, *names: str, user: User | None = None) -> None:
    """Jobs that are due, and whose last call failed."""
    for name in names:
        bad = await harness.accepted_job(name, user, poll_at=harness.clock.now())
        worker._calls.queues["samsar"].failed(bad.id)
        harness.clock.advance(0.001)


async def test_jobs_whose_last_call_failed_take_turns_with_half_of_the_slots(
    harness: Harness,
) -> None:
    harness.provider.waits_for = answered = asyncio.Event()
    worker = harness.poller(concurrency=4)
    await failing(harness, worker, *(f"bad-{number}" for number in range(4)))
    await failing(harness, worker, "bob's", user=harness.world.bob)
    await due_polls(harness, 1)
    claim = await claimed(harness, "claim")
    worker._calls.queues["samsar"].failed(claim.id)
    for _ in range(7):
        harness.clock.advance(STEP)
        await worker.run_once()
        await asyncio.sleep(0)
    assert sorted(harness.provider.asked) == ["bad-0", "claim", "poll-0"]

    finish_at_next_call(harness)
    answered.set()
    for _ in range(3):
        await worker._task_pool.drain()
        await worker.run_once()
    assert harness.provider.asked[3:] == ["bad-1", "bob's", "bad-2", "bad-3"]


async def test_a_failing_job_that_waited_for_longer_than_its_lease_is_leased_again(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poller_module, "MAX_FAILING_PER_USER", 1)
    harness.provider.waits_for = answered = asyncio.Event()
    worker = harness.poller(concurrency=4)
    await failing(harness, worker, *(f"bad-{number}" for number in range(5)))
    for _ in range(5):
        harness.clock.advance(STEP)
        await worker.run_once()
    harness.clock.advance(POLL_LEASE / SECOND)
    assert len(await harness.lease("another", Lane.POLL)) == 5
    finish_at_next_call(harness)
    answered.set()
    await worker._task_pool.drain()
    assert await step(harness, worker) == 0
    harness.clock.advance(LEASE / SECOND)
    for _ in range(3):
        await step(harness, worker)
    assert harness.provider.asked == [f"bad-{number}" for number in range(5)]


async def test_claims_whose_calls_fail_wait_once_each_and_in_order(harness: Harness) -> None:
    """Each lease queued them again, the newest first: the oldest ones were never called for."""
    harness.provider.waits_for = answered = asyncio.Event()
    worker = harness.poller(concurrency=2)
    for number in range(5):
        claim = await claimed(harness, f"claim-{number}")
        worker._calls.queues["samsar"].failed(claim.id)
    for _ in range(4):
        await worker.run_once()
        await asyncio.sleep(0)
        harness.clock.advance(POLL_LEASE / SECOND)  # all but the one in a call are leased again
    await worker.run_once()
    assert worker._failing.waiting(harness.world.ann.id) == len(worker._failing.items) == 4

    finish_at_next_call(harness)
    answered.set()
    for _ in range(5):
        await worker._task_pool.drain()
        await worker.run_once()
    assert harness.provider.asked == [f"claim-{number}" for number in range(5)]


@pytest.mark.parametrize("confirming", [True, False])
async def test_jobs_that_always_fail_hold_up_no_job_of_another_user(
    harness: Harness, confirming: bool
) -> None:
    finish_at_next_call(harness)
    failing = [f"bad-{number}" for number in range(20)]
    harness.provider.answers = dict.fromkeys(failing, StatusUnavailable("500"))
    worker, bob = harness.poller(), harness.world.bob
    for name in failing:
        await harness.accepted_job(name, poll_at=harness.clock.now())
    waits = []
    for at in (100, 200, 400):
        while harness.clock.now() < NOW + at * SECOND:
            await step(harness, worker)
        if confirming:
            good = await claimed(harness, f"good-{at}", user=bob)
        else:
            good = await harness.accepted_job(f"good-{at}", bob, poll_at=harness.clock.now())
        while not (await harness.find(good)).done:
            await step(harness, worker)
        waits.append(harness.clock.now() / SECOND - NOW / SECOND - at)
    first, second, later = waits
    # The first two may wait for a probe. After that, the other jobs' failures no longer count for
    # the breaker.
    assert max(first, second) <= LONGEST_PROBE + 3 * STEP
    assert later <= 3 * STEP


async def test_the_next_probe_is_not_called_before_the_last_one_is_asked_about(
    harness: Harness,
) -> None:
    harness.provider.answer = StatusUnavailable("500")
    worker = harness.poller()
    queue = worker._calls.queues["samsar"]
    for number in range(6):
        await harness.accepted_job(f"bad-{number}", poll_at=harness.clock.now())
    while len(queue._waiting) < 6:
        await step(harness, worker)
    harness.clock.advance(LONGEST_PROBE)
    for _ in range(3):  # passes that are faster than the call
        await worker._make_queued_due()
    assert len(queue._waiting) == 5


async def test_a_pass_looks_at_one_queued_job_though_it_may_have_ended(harness: Harness) -> None:
    finish_at_next_call(harness)
    worker = harness.poller()
    later = harness.clock.now() + 60 * SECOND
    waiting = await harness.accepted_job("waiting", poll_at=later)
    for job_id in ("ended", "another", waiting.id):
        worker._calls.queues["samsar"].enqueue(job_id, waiting.user_id, claimed=False)
    store = CallRecorder(harness.store.jobs, "make_status_call_due")
    for _ in range(3):
        assert harness.provider.asked == []
        await step(harness, worker)
        assert store.take() == ["make_status_call_due"]
    assert harness.provider.asked == ["waiting"]


@pytest.mark.parametrize("claims", [True, False])
async def test_calls_that_a_breaker_refuses_take_nothing_from_the_rate(
    harness: Harness, claims: bool
) -> None:
    worker = harness.poller(rate=10.0)
    worker._calls.breakers["samsar"].failed(harness.clock.monotonic(), credentials_refused=True)
    await worker.run_once()
    if claims:
        for number in range(20):
            await claimed(harness, f"claim-{number}")
    else:
        await due_polls(harness, 20)
    refused = 0
    while begun := await worker.run_once():  # without advancing the clock
        refused += begun
    assert (refused, worker._calls.free(), harness.provider.asked) == (20, 1, [])


async def test_claims_alone_probe_an_open_breaker_as_soon_as_it_allows_that(
    harness: Harness,
) -> None:
    harness.provider.answer = StatusUnavailable("503")
    worker = harness.poller()
    for number in range(6):
        await claimed(harness, f"claim-{number}")
    breaker = worker._calls.breakers["samsar"]
    while breaker.state == "closed":
        await step(harness, worker)
    finish_at_next_call(harness)
    opened = harness.clock.now()
    while breaker.state == "open":
        await step(harness, worker)
    assert harness.clock.now() <= opened + FIRST_PROBE * SECOND + 3 * STEP * SECOND


async def test_jobs_that_wait_behind_a_breaker_are_asked_about_once_it_closes(
    harness: Harness,
) -> None:
    harness.provider.answer = StatusUnavailable("401", credentials_refused=True)
    worker = harness.poller()
    await harness.accepted_job("first", poll_at=harness.clock.now())
    await step(harness, worker)
    jobs = [await claimed(harness, f"claim-{number}") for number in range(5)]
    await step(harness, worker)
    finish_at_next_call(harness)
    breaker = worker._calls.breakers["samsar"]
    while breaker.state == "open":
        await step(harness, worker)
    for _ in jobs:
        await step(harness, worker)
    assert [(await harness.find(job)).done for job in jobs] == [True] * 5
