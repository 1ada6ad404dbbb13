"""The poller: who is asked about next, and what becomes of claims that are handed to it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from receiver.actions.status_calls import StatusCalls
from receiver.domain.observations import StatusReport, StatusUnavailable, SubmitAccepted
from receiver.domain.schedule import Rules
from receiver.providers.contract import UpstreamJob
from receiver.providers.samsar_report import read_report
from receiver.workers import poller as poller_module
from receiver.workers.poller import LEASE, Poller
from store.errors import StoreUnavailable
from store.records import (
    Callback,
    CallbackVerdict,
    Due,
    Evidence,
    Job,
    Lane,
    Lease,
    Move,
    Phase,
    Verdict,
)
from tests.store.world import SECOND
from tests.workers.surroundings import HOLDER, Counted, Surroundings

RATE = 50.0
STEP = 0.1
"""Seconds; the pace allows five calls in each."""


def poller(around: Surroundings, rate: float = RATE) -> Poller:
    calls = StatusCalls(around.clock, around.services.metrics, rate, at_once=1_000)
    return Poller(
        replace(around.services, status_calls=calls),
        around.hub,
        HOLDER,
        lambda job: f"https://here.example/{job.id}",
    )


async def claimed(around: Surroundings, name: str, *, holder: str | None = HOLDER) -> Job:
    """A job whose claim is due to be confirmed, as applying its callback leaves it."""
    job = await around.taken(name)
    await around.world.receive(job, b'{"status":"COMPLETED"}', name)
    now = around.clock.now()

    def decide(before: Job, callbacks: Sequence[Callback]) -> Move:
        (callback,) = callbacks
        ruling = CallbackVerdict(callback.id, Verdict.CLAIMED, None, Evidence.CALLBACK)
        return Move(replace(before, due=Due(Lane.CONFIRM, now)), verdicts=(ruling,))

    hold = None if holder is None else Lease(holder, now + LEASE)
    applied = await around.store.callbacks.apply(job.id, decide, most=9, lease=hold)
    return applied.job


async def due_polls(around: Surroundings, count: int) -> None:
    for number in range(count):
        await around.taken(f"poll-{number}", poll_at=around.clock.now())


async def step(around: Surroundings, worker: Poller) -> int:
    """One step of time, and the calls that begin in it."""
    around.clock.passed += STEP
    begun = await worker.run_once()
    await worker.drain()
    return begun


def ending(around: Surroundings) -> None:
    """Each call ends its job, so nobody is asked about twice."""
    said = {"status": "FAILED", "message": "Out of credits."}
    around.provider.answer = StatusReport(read_report(said))


@pytest.mark.parametrize("handed_over", [True, False])
@pytest.mark.parametrize("rate", [10.0, 50.0, 330.0])
async def test_while_many_claims_wait_a_fifth_of_the_pace_is_left_to_due_polls(
    around: Surroundings, handed_over: bool, rate: float
) -> None:
    ending(around)
    worker = poller(around, rate)
    await due_polls(around, 60)
    for number in range(240):
        job = await claimed(around, f"claim-{number}", holder=HOLDER if handed_over else None)
        if handed_over:
            worker.confirm(job)

    calls = 0
    while calls < 200:
        calls += await step(around, worker)

    polls = sum(name.startswith("poll-") for name in around.provider.asked)
    # Within a call or two: a step is no multiple of five calls.
    assert calls / 5 - 2 <= polls <= calls / 5 + 2


async def test_claims_have_the_whole_pace_where_no_poll_is_due(around: Surroundings) -> None:
    ending(around)
    worker = poller(around)
    await around.taken("poll-later", poll_at=around.clock.now() + 60 * SECOND)
    assert await worker.run_once() == 0
    for number in range(20):
        worker.confirm(await claimed(around, f"claim-{number}"))

    assert [await step(around, worker) for _ in range(4)] == [5] * 4
    assert around.provider.asked == [f"claim-{number}" for number in range(20)]


async def test_polls_have_the_whole_pace_where_no_claim_waits(around: Surroundings) -> None:
    ending(around)
    worker = poller(around)
    await due_polls(around, 20)

    assert [await step(around, worker) for _ in range(4)] == [5] * 4


async def test_a_claim_that_is_handed_over_needs_no_lease(around: Surroundings) -> None:
    ending(around)
    worker = poller(around)
    await worker.run_once()
    job = await claimed(around, "claim")
    worker.confirm(job)
    store = Counted(around.store.jobs, "lease_due", "next_due")

    assert await step(around, worker) == 1

    assert store.taken() == []
    assert (await around.found(job)).done


async def test_whose_hold_has_ended_is_left_to_whoever_leases_it(around: Surroundings) -> None:
    worker = poller(around)
    await worker.run_once()
    job = await claimed(around, "claim")
    worker.confirm(job)
    around.clock.passed += LEASE / SECOND
    assert await around.lease("another", Lane.CONFIRM) == [job.id]

    assert await step(around, worker) == 0
    assert around.provider.asked == []


async def test_a_claim_whose_hold_has_ended_is_leased_again(around: Surroundings) -> None:
    ending(around)
    worker = poller(around)
    await worker.run_once()
    worker.confirm(await claimed(around, "claim"))
    around.clock.passed += LEASE / SECOND

    assert await step(around, worker) == 1
    assert around.provider.asked == ["claim"]


async def test_a_claim_for_which_there_is_no_room_is_found_when_its_hold_ends(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poller_module, "MOST_OFFERED", 1)
    ending(around)
    worker = poller(around)
    await worker.run_once()
    for name in ("first", "second"):
        worker.confirm(await claimed(around, name))

    assert await step(around, worker) == 1
    assert await step(around, worker) == 0
    around.clock.passed += LEASE / SECOND
    assert await step(around, worker) == 1
    assert around.provider.asked == ["first", "second"]


async def test_a_claim_whose_answer_could_not_be_stored_is_asked_about_again(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending(around)
    worker = poller(around)
    await worker.run_once()
    worker.confirm(await claimed(around, "claim"))

    async def fail(*_: object, **__: object) -> None:
        raise StoreUnavailable("the disk is away")

    with monkeypatch.context() as context:
        context.setattr(around.store.jobs, "advance", fail)
        assert await step(around, worker) == 1
    assert await step(around, worker) == 0
    around.clock.passed += LEASE / SECOND
    assert await step(around, worker) == 1
    assert around.provider.asked == ["claim", "claim"]


async def test_a_job_is_asked_about_once_at_a_time(around: Surroundings) -> None:
    answered = asyncio.Event()
    worker = poller(around)
    job = await claimed(around, "claim")
    status = around.provider.status

    async def slow(job: UpstreamJob) -> object:
        answer = await status(job)
        await answered.wait()
        return answer

    around.provider.status = slow  # type: ignore[method-assign,assignment] # it takes its time
    worker.confirm(job)
    around.clock.passed += STEP
    assert await worker.run_once() == 1
    await asyncio.sleep(0)
    worker.confirm(job)
    around.clock.passed += STEP
    assert await worker.run_once() == 0
    answered.set()
    await worker.drain()
    assert around.provider.asked == ["claim"]


async def test_stopping_gives_back_what_was_handed_over(around: Surroundings) -> None:
    worker = poller(around)
    jobs = [await claimed(around, f"claim-{number}") for number in range(3)]
    for job in jobs:
        worker.confirm(job)
    assert await around.lease("another", Lane.CONFIRM) == []

    await worker.stop()

    assert await around.lease("another", Lane.CONFIRM) == [job.id for job in jobs]
    assert around.provider.asked == []


async def test_what_is_handed_over_ends_the_wait(around: Surroundings) -> None:
    worker = poller(around)
    while await worker.run_once():
        pass
    await worker.idle()  # what woke it before
    idling = asyncio.create_task(worker.idle())
    await asyncio.sleep(0)
    assert not idling.done()

    worker.confirm(await claimed(around, "claim"))

    await asyncio.wait_for(idling, 10)


# --- submissions whose answer was lost ------------------------------------------------------------


async def lost(around: Surroundings) -> Job:
    """A job that is due to be looked up."""
    job, now = await around.world.create(), around.clock.now()
    unconfirmed = replace(
        job,
        phase=Phase.SUBMIT_UNCONFIRMED,
        attempts=1,
        maybe_sent=True,
        unconfirmed_at=now,
        due=Due(Lane.POLL, now),
    )
    return await around.world.advance(job, lambda _: Move(unconfirmed))


def looking_up(around: Surroundings, *, wanted: bool = True, can: bool = True) -> Poller:
    around.provider.can_look_up = can
    rules = Rules(look_up_submissions=wanted)
    around.services = replace(around.services, rules=rules)
    return poller(around)


async def test_a_lost_submission_is_looked_up_by_its_callback_address(
    around: Surroundings,
) -> None:
    worker = looking_up(around)
    around.provider.found = SubmitAccepted("up-1")
    job = await lost(around)

    assert await step(around, worker) == 1

    assert around.provider.looked_up == [
        (f"https://here.example/{job.id}", job.created_at, job.unconfirmed_at)
    ]
    found = await around.found(job)
    assert (found.phase, found.provider_request_id) == (Phase.ACCEPTED, "up-1")


async def test_a_found_id_that_another_job_holds_proves_acceptance_alone(
    around: Surroundings,
) -> None:
    await around.taken("up-1", poll_at=around.clock.now() + 60 * SECOND)
    worker = looking_up(around)
    around.provider.found = SubmitAccepted("up-1")
    job = await lost(around)

    await step(around, worker)

    found = await around.found(job)
    assert (found.phase, found.provider_request_id) == (Phase.ACCEPTED, None)


@pytest.mark.parametrize(("wanted", "can"), [(False, True), (True, False)])
async def test_who_may_not_be_searched_is_not_asked(
    around: Surroundings, wanted: bool, can: bool
) -> None:
    worker = looking_up(around, wanted=wanted, can=can)
    job = await lost(around)

    await step(around, worker)

    assert around.provider.looked_up == []
    after = await around.found(job)
    assert (after.phase, after.due) == (
        Phase.SUBMIT_UNCONFIRMED,
        Due(Lane.POLL, around.clock.now() + Rules().unconfirmed_deadline - round(STEP * SECOND)),
    )


async def test_a_look_up_keeps_to_the_breaker_and_is_leased(around: Surroundings) -> None:
    worker = looking_up(around)
    around.provider.found = StatusUnavailable("no key", by_credentials=True)
    await lost(around)
    await step(around, worker)
    await lost(around)
    assert await step(around, worker) == 1
    assert len(around.provider.looked_up) == 1, "the breaker is open"

    job = await lost(around)
    assert await around.lease("another", Lane.POLL) == [job.id]
    assert await step(around, worker) == 0
