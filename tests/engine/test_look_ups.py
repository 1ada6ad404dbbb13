"""Submissions whose answer was lost are looked up in the provider's list."""

from dataclasses import replace

import pytest

from receiver.domain.answers import StatusUnavailable, SubmitAccepted
from receiver.domain.schedule import Rules
from receiver.engine.poller import Poller
from store.records.jobs import Job, Phase
from store.records.moves import Move
from store.records.times import Due, Lane, Millis
from tests.engine.harness import RATE, STEP, Harness, step
from tests.store.world import NOW, SECOND


async def lost(harness: Harness, created_at: Millis = NOW) -> Job:
    """A job that is due to be looked up."""
    job, now = await harness.world.create(at=created_at), harness.clock.now()
    unconfirmed = replace(
        job,
        phase=Phase.SUBMIT_UNCONFIRMED,
        attempts=1,
        maybe_sent=True,
        unconfirmed_at=now,
        due=Due(Lane.POLL, now),
    )
    return await harness.world.advance(job, lambda _: Move(unconfirmed))


def look_up_poller(harness: Harness, *, wanted: bool = True, can: bool = True) -> Poller:
    harness.provider.can_look_up = can
    rules = Rules(look_up_submissions=wanted)
    harness.services = replace(harness.services, rules=rules)
    return harness.poller(RATE)


async def test_a_lost_submission_is_looked_up_by_its_callback_address(harness: Harness) -> None:
    worker = look_up_poller(harness)
    harness.provider.found = SubmitAccepted("up-1")
    job = await lost(harness)

    assert await step(harness, worker) == 1

    assert harness.provider.looked_up == [
        (f"https://here.example/{job.id}", job.created_at, job.unconfirmed_at)
    ]
    found = await harness.find(job)
    assert (found.phase, found.provider_request_id) == (Phase.ACCEPTED, "up-1")


async def test_a_lost_submission_is_looked_up_although_ids_are_ahead_of_the_clock(
    harness: Harness,
) -> None:
    """Ids are ahead after the clock was set back."""
    worker = look_up_poller(harness)
    job = await lost(harness, created_at=harness.clock.now() + 3600 * SECOND)

    await step(harness, worker)

    ((_, since, until),) = harness.provider.looked_up
    assert until == job.unconfirmed_at
    assert since == until - Rules().unconfirmed_deadline


async def test_a_job_found_under_the_id_of_another_job_is_accepted_without_it(
    harness: Harness,
) -> None:
    await harness.accepted_job("up-1", poll_at=harness.clock.now() + 60 * SECOND)
    worker = look_up_poller(harness)
    harness.provider.found = SubmitAccepted("up-1")
    job = await lost(harness)

    await step(harness, worker)

    found = await harness.find(job)
    assert (found.phase, found.provider_request_id) == (Phase.ACCEPTED, None)


@pytest.mark.parametrize(("wanted", "can"), [(False, True), (True, False)])
async def test_a_list_that_must_not_be_searched_is_not_searched(
    harness: Harness, wanted: bool, can: bool
) -> None:
    worker = look_up_poller(harness, wanted=wanted, can=can)
    job = await lost(harness)
    free = harness.services.status_calls.free()

    await step(harness, worker)

    assert harness.provider.looked_up == []
    assert harness.services.status_calls.free() == free, "it takes nothing from the rate"
    after = await harness.find(job)
    assert (after.phase, after.due) == (
        Phase.SUBMIT_UNCONFIRMED,
        Due(Lane.POLL, harness.clock.now() + Rules().unconfirmed_deadline - round(STEP * SECOND)),
    )


async def test_a_look_up_obeys_the_breaker_and_needs_a_lease(harness: Harness) -> None:
    worker = look_up_poller(harness)
    harness.provider.found = StatusUnavailable("no key", credentials_refused=True)
    await lost(harness)
    await step(harness, worker)
    await lost(harness)
    assert await step(harness, worker) == 1
    assert len(harness.provider.looked_up) == 1, "the breaker is open"

    job = await lost(harness)
    assert await harness.lease("another", Lane.POLL) == [job.id]
    assert await step(harness, worker) == 0
