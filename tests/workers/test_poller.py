"""The poller: the order of calls, and claims that are handed over."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from receiver.domain.answers import StatusReport, StatusUnavailable
from receiver.domain.call_limits import FIRST_PROBE, LONGEST_PROBE
from receiver.providers.samsar import read_report
from receiver.workers import poller as poller_module
from receiver.workers.poller import POLL_LEASE, Poller
from store.errors import StoreUnavailable
from store.keys import User
from store.records.callbacks import Callback, CallbackVerdict, Verdict
from store.records.jobs import Claim, Evidence, Job, Status, Tracking
from store.records.moves import Move
from store.records.times import Due, Lane, Lease
from tests.store.world import NOW, SECOND
from tests.workers.harness import HOLDER, LEASE, RATE, STEP, Counted, Harness, step


async def claimed(
    harness: Harness, name: str, *, holder: str | None = HOLDER, user: User | None = None
) -> Job:
    """A job with a claim that is due for confirmation; leased if there is a `holder`."""
    job = await harness.accepted_job(name, user)
    await harness.world.receive(job, b'{"status":"COMPLETED"}', name)
    now = harness.clock.now()

    def decide(before: Job, callbacks: Sequence[Callback]) -> Move:
        (callback,) = callbacks
        verdict = CallbackVerdict(callback.id, Verdict.CLAIMED, None, Evidence.CALLBACK)
        claim = Claim(callback.id, now, Status.COMPLETED, None, None, None)
        waiting = replace(before, due=Due(Lane.CONFIRM, now), tracking=Tracking(claims=(claim,)))
        return Move(waiting, verdicts=(verdict,))

    lease = None if holder is None else Lease(holder, now + POLL_LEASE)
    applied = await harness.store.callbacks.apply(job.id, decide, most=9, lease=lease)
    return applied.job


async def due_polls(harness: Harness, count: int) -> None:
    now = harness.clock.now()
    await asyncio.gather(
        *(harness.accepted_job(f"poll-{number}", poll_at=now) for number in range(count))
    )


def ending(harness: Harness) -> None:
    """Each call finishes its job, so no job is polled twice."""
    said = {"status": "FAILED", "message": "Out of credits."}
    harness.provider.answer = StatusReport(read_report(said))


@pytest.mark.parametrize("handed_over", [True, False])
@pytest.mark.parametrize("rate", [10.0, 50.0, 330.0])
async def test_due_polls_get_a_fifth_of_the_rate_while_claims_wait(
    harness: Harness, handed_over: bool, rate: float
) -> None:
    ending(harness)
    worker = harness.poller(rate)
    await due_polls(harness, 60)
    holder = HOLDER if handed_over else None
    for batch in range(4):  # the writer's queue is bounded
        names = [f"claim-{batch}-{number}" for number in range(60)]
        for job in await asyncio.gather(*(claimed(harness, name, holder=holder) for name in names)):
            if handed_over:
                worker.confirm(job)

    calls = 0
    while calls < 200:
        calls += await step(harness, worker)

    polls = sum(name.startswith("poll-") for name in harness.provider.asked)
    # Within two calls: a step need not be a multiple of five calls.
    assert calls / 5 - 2 <= polls <= calls / 5 + 2


async def test_claims_or_polls_alone_get_the_whole_rate(harness: Harness) -> None:
    ending(harness)
    worker = harness.poller(RATE)
    await harness.accepted_job("poll-later", poll_at=harness.clock.now() + 60 * SECOND)
    assert await worker.run_once() == 0
    for number in range(20):
        worker.confirm(await claimed(harness, f"claim-{number}"))

    assert [await step(harness, worker) for _ in range(4)] == [5] * 4
    assert harness.provider.asked == [f"claim-{number}" for number in range(20)]

    await due_polls(harness, 20)
    assert [await step(harness, worker) for _ in range(4)] == [5] * 4


async def test_a_claim_that_is_handed_over_needs_no_query(harness: Harness) -> None:
    ending(harness)
    worker = harness.poller(RATE)
    await worker.run_once()
    job = await claimed(harness, "claim")
    worker.confirm(job)
    store = Counted(harness.store.jobs, "lease_due", "next_due")

    assert await step(harness, worker) == 1

    assert store.take() == []
    assert (await harness.found(job)).done


@pytest.mark.parametrize("taken", [True, False], ids=["by another", "by nobody"])
async def test_a_claim_whose_lease_has_ended_is_leased_again(harness: Harness, taken: bool) -> None:
    ending(harness)
    worker = harness.poller(RATE)
    await worker.run_once()
    job = await claimed(harness, "claim")
    worker.confirm(job)
    harness.clock.advance(POLL_LEASE / SECOND)
    if taken:
        assert await harness.lease("another", Lane.CONFIRM) == [job.id]

    assert await step(harness, worker) == (not taken)
    assert harness.provider.asked == ([] if taken else ["claim"])


async def test_a_claim_over_the_limit_is_found_when_its_lease_ends(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poller_module, "MOST_CLAIMS_OFFERED", 1)
    ending(harness)
    worker = harness.poller(RATE)
    await worker.run_once()
    for name in ("first", "second"):
        worker.confirm(await claimed(harness, name))

    assert await step(harness, worker) == 1
    assert await step(harness, worker) == 0
    harness.clock.advance(POLL_LEASE / SECOND)
    assert await step(harness, worker) == 1
    assert harness.provider.asked == ["first", "second"]


@pytest.mark.parametrize("stopping", [False, True])
async def test_an_answer_is_kept_until_the_store_takes_it_or_the_service_stops(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, stopping: bool
) -> None:
    monkeypatch.setattr(poller_module, "POLL_DRAIN_SECONDS", 0.01)
    ending(harness)
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
    assert (await harness.found(job)).done == (not stopping)
    assert await harness.lease("another", Lane.POLL) == ([job.id] if stopping else [])
    assert harness.provider.asked == ["up"]


async def test_a_job_has_one_call_at_a_time(harness: Harness) -> None:
    harness.provider.waits_for = answered = asyncio.Event()
    worker = harness.poller(RATE)
    job = await claimed(harness, "claim")
    worker.confirm(job)
    harness.clock.advance(STEP)
    assert await worker.run_once() == 1
    await asyncio.sleep(0)
    worker.confirm(job)
    harness.clock.advance(STEP)
    assert await worker.run_once() == 0
    answered.set()
    await worker._task_pool.drain()
    assert harness.provider.asked == ["claim"]


async def failing(harness: Harness, worker: Poller, *names: str, user: User | None = None) -> None:
    """Jobs that are due, and whose last call failed."""
    for name in names:
        bad = await harness.accepted_job(name, user, poll_at=harness.clock.now())
        worker._calls.lines["samsar"].failed(bad.id)
        harness.clock.advance(0.001)


async def test_jobs_whose_last_call_failed_take_turns_with_half_of_the_slots(
    harness: Harness,
) -> None:
    harness.provider.waits_for = answered = asyncio.Event()
    worker = harness.poller(at_once=4)
    await failing(harness, worker, *(f"bad-{number}" for number in range(4)))
    await failing(harness, worker, "bob's", user=harness.world.bob)
    await due_polls(harness, 1)
    claim = await claimed(harness, "claim", holder=None)
    worker._calls.lines["samsar"].failed(claim.id)
    for _ in range(7):
        harness.clock.advance(STEP)
        await worker.run_once()
        await asyncio.sleep(0)
    assert sorted(harness.provider.asked) == ["bad-0", "claim", "poll-0"]

    ending(harness)
    answered.set()
    for _ in range(3):
        await worker._task_pool.drain()
        await worker.run_once()
    assert harness.provider.asked[3:] == ["bad-1", "bob's", "bad-2", "bad-3"]


async def test_a_failing_job_that_waited_for_longer_than_its_lease_is_leased_again(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poller_module, "MOST_FAILING_OF_ONE", 1)
    harness.provider.waits_for = answered = asyncio.Event()
    worker = harness.poller(at_once=4)
    await failing(harness, worker, *(f"bad-{number}" for number in range(5)))
    for _ in range(5):
        harness.clock.advance(STEP)
        await worker.run_once()
    harness.clock.advance(POLL_LEASE / SECOND)
    assert len(await harness.lease("another", Lane.POLL)) == 5
    ending(harness)
    answered.set()
    await worker._task_pool.drain()
    assert await step(harness, worker) == 0
    harness.clock.advance(LEASE / SECOND)
    for _ in range(3):
        await step(harness, worker)
    assert harness.provider.asked == [f"bad-{number}" for number in range(5)]


async def test_stopping_releases_claims_that_were_not_started(harness: Harness) -> None:
    worker = harness.poller(RATE)
    jobs = [await claimed(harness, f"claim-{number}") for number in range(3)]
    for job in jobs:
        worker.confirm(job)
    assert await harness.lease("another", Lane.CONFIRM) == []

    await worker.stop()

    assert await harness.lease("another", Lane.CONFIRM) == [job.id for job in jobs]
    assert harness.provider.asked == []


async def test_a_claim_that_is_handed_over_ends_the_wait(harness: Harness) -> None:
    worker = harness.poller(RATE)
    while await worker.run_once():
        pass
    await worker.idle()  # clears earlier wake-ups
    idling = asyncio.create_task(worker.idle())
    await asyncio.sleep(0)
    assert not idling.done()

    worker.confirm(await claimed(harness, "claim"))

    await asyncio.wait_for(idling, 10)


async def test_jobs_with_a_refused_callback_are_polled_a_few_each_second(harness: Harness) -> None:
    ending(harness)
    worker = harness.poller()
    later = harness.clock.now() + 60 * SECOND
    jobs = [await harness.accepted_job(f"up-{n}", poll_at=later) for n in range(25)]
    for job in jobs:
        harness.missed.add(job.id)
    asked = []
    for _ in range(3):
        await worker.run_once()  # makes them due
        await worker.run_once()
        await worker._task_pool.drain()
        asked.append(len(harness.provider.asked))
        harness.clock.advance(1.0)
    assert asked == [20, 25, 25]


@pytest.mark.parametrize("confirming", [True, False])
async def test_jobs_that_always_fail_hold_up_no_job_of_another_user(
    harness: Harness, confirming: bool
) -> None:
    ending(harness)
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
            good = await claimed(harness, f"good-{at}", holder=None, user=bob)
        else:
            good = await harness.accepted_job(f"good-{at}", bob, poll_at=harness.clock.now())
        while not (await harness.found(good)).done:
            await step(harness, worker)
        waits.append(harness.clock.now() / SECOND - NOW / SECOND - at)
    first, second, later = waits
    # The first ones may have to wait for a probe; at last all the others' failures are their own.
    assert max(first, second) <= LONGEST_PROBE + 3 * STEP
    assert later <= 3 * STEP


async def test_the_next_probe_is_not_called_before_the_last_one_is_asked_about(
    harness: Harness,
) -> None:
    harness.provider.answer = StatusUnavailable("500")
    worker = harness.poller()
    line = worker._calls.lines["samsar"]
    for number in range(6):
        await harness.accepted_job(f"bad-{number}", poll_at=harness.clock.now())
    while len(line._waiting) < 6:
        await step(harness, worker)
    harness.clock.advance(LONGEST_PROBE)
    for _ in range(3):  # passes that are faster than the call
        await worker._make_turns_due()
    assert len(line._waiting) == 5


async def test_a_pass_looks_at_one_job_in_line_though_it_may_have_ended(harness: Harness) -> None:
    ending(harness)
    worker = harness.poller()
    later = harness.clock.now() + 60 * SECOND
    waiting = await harness.accepted_job("waiting", poll_at=later)
    for job_id in ("ended", "another", waiting.id):
        worker._calls.lines["samsar"].wait(job_id, waiting.user_id, claimed=False)
    store = Counted(harness.store.jobs, "ask_at_once")
    for _ in range(3):
        assert harness.provider.asked == []
        await step(harness, worker)
        assert store.take() == ["ask_at_once"]
    assert harness.provider.asked == ["waiting"]


@pytest.mark.parametrize("handed_over", [True, False])
async def test_calls_that_a_breaker_refuses_take_nothing_from_the_rate(
    harness: Harness, handed_over: bool
) -> None:
    worker = harness.poller(rate=10.0)
    worker._calls.breakers["samsar"].failed(harness.clock.monotonic(), by_credentials=True)
    await worker.run_once()
    if handed_over:
        for number in range(20):
            worker.confirm(await claimed(harness, f"claim-{number}"))
    else:
        await due_polls(harness, 20)
    refused = 0
    while begun := await worker.run_once():  # at one instant
        refused += begun
    assert (refused, worker._calls.free(), harness.provider.asked) == (20, 1, [])


async def test_claims_alone_probe_an_open_breaker_as_soon_as_it_allows_that(
    harness: Harness,
) -> None:
    harness.provider.answer = StatusUnavailable("503")
    worker = harness.poller()
    for number in range(6):
        await claimed(harness, f"claim-{number}", holder=None)
    breaker = worker._calls.breakers["samsar"]
    while breaker.state == "closed":
        await step(harness, worker)
    ending(harness)
    opened = harness.clock.now()
    while breaker.state == "open":
        await step(harness, worker)
    assert harness.clock.now() <= opened + FIRST_PROBE * SECOND + 3 * STEP * SECOND


async def test_jobs_that_wait_behind_a_breaker_are_asked_about_once_it_closes(
    harness: Harness,
) -> None:
    harness.provider.answer = StatusUnavailable("401", by_credentials=True)
    worker = harness.poller()
    await harness.accepted_job("first", poll_at=harness.clock.now())
    await step(harness, worker)
    jobs = [await claimed(harness, f"claim-{number}", holder=None) for number in range(5)]
    await step(harness, worker)
    ending(harness)
    breaker = worker._calls.breakers["samsar"]
    while breaker.state == "open":
        await step(harness, worker)
    for _ in jobs:
        await step(harness, worker)
    assert [(await harness.found(job)).done for job in jobs] == [True] * 5
