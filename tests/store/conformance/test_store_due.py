"""`Jobs`: due times and leases."""

import pytest

from store.records.events import Note
from store.records.jobs import Job
from store.records.moves import Decide, Move
from store.records.times import Due, Lane, Lease
from tests.store.world import NOW, SECOND, World, lease_due, quietly


async def lease(world: World, holder: str = "me", at: int = NOW, limit: int = 10) -> list[Job]:
    return await lease_due(world.store, Lane.SUBMIT, at, at + 10 * SECOND, holder, limit)


async def test_a_lease_from_before_the_clock_was_set_back_has_ended(world: World) -> None:
    """The lease lasts ten seconds, and the clocks of two processes may differ by ten minutes."""
    job = await world.create(at=NOW - 3_600 * SECOND)
    assert await lease(world, "me") == [job]

    assert await lease(world, "you", at=NOW - 600 * SECOND) == []
    assert await lease(world, "you", at=NOW - 601 * SECOND) == [job]


async def test_a_released_job_is_due_as_before(world: World) -> None:
    job, kept = await world.create(), await world.create()
    assert await lease(world, "me") == [job, kept]
    world.notified.clear()

    await world.store.jobs.release("another", [job.id])
    assert await lease(world, "you") == []

    await world.store.jobs.release("me", [job.id])
    assert {lane for changes in world.notified for lane in changes.due} == {Lane.SUBMIT}
    assert await lease(world, "you") == [job]
    await world.store.end_leases()
    assert await lease(world, "me") == [job, kept]


async def test_a_renewed_lease_lasts_longer_unless_it_was_lost(world: World) -> None:
    mine, lost, changed = [await world.create(at=NOW - at) for at in (3, 2, 1)]
    assert await lease(world, "me") == [mine, lost, changed]
    await world.store.jobs.release("me", [lost.id])
    assert await lease(world, "you", limit=1) == [lost]
    await world.advance(changed, quietly(due=Due(Lane.SUBMIT, NOW + 99 * SECOND)))
    world.notified.clear()

    renewed = Lease("me", NOW + 20 * SECOND)
    jobs = [mine.id, lost.id, changed.id, "job_gone"]
    assert await world.store.jobs.renew(jobs, renewed) == {mine.id}

    assert [changes.due for changes in world.notified] == [{Lane.SUBMIT: renewed.until}]
    assert await lease(world, at=NOW + 10 * SECOND) == [lost]
    assert await lease(world, at=NOW + 20 * SECOND) == [mine, lost]


@pytest.mark.parametrize(
    ("decide", "ends"),
    [
        (quietly(due=Due(Lane.SUBMIT, NOW - 1)), True),
        (lambda job: Move(job, notes=(Note("submission", {"outcome": "not_sent"}, NOW),)), False),
        (lambda _: None, False),
    ],
    ids=["change", "note", "nothing"],
)
async def test_a_change_ends_the_lease(world: World, decide: Decide, ends: bool) -> None:
    job = await world.create()
    await lease(world, "me")

    later = await world.advance(job, decide)

    assert await lease(world, "you") == ([later] if ends else [])


@pytest.mark.parametrize(
    ("lane", "before", "after"),
    [
        (Lane.POLL, NOW + SECOND, NOW),
        (Lane.POLL, NOW - SECOND, NOW - SECOND),
        (Lane.WAIT, NOW + SECOND, NOW + SECOND),
        (Lane.CONFIRM, NOW + SECOND, NOW + SECOND),
        (Lane.SUBMIT, NOW + SECOND, NOW + SECOND),
    ],
)
async def test_make_poll_due_brings_a_poll_forward(
    world: World, lane: Lane, before: int, after: int
) -> None:
    job = await world.create(due=Due(lane, before))
    world.notified.clear()

    await world.store.jobs.make_poll_due(job.id, NOW)

    found = await world.find(job)
    assert found.due == Due(lane, after)
    notified = {lane for changes in world.notified for lane in changes.due}
    assert notified == ({Lane.POLL} if before != after else set())


@pytest.mark.parametrize("lane", [Lane.POLL, Lane.CONFIRM, Lane.WAIT])
@pytest.mark.parametrize("before", [NOW + SECOND, NOW - SECOND])
async def test_make_status_call_due_brings_a_poll_or_a_confirmation_forward(
    world: World, lane: Lane, before: int
) -> None:
    job = await world.create(due=Due(lane, before))
    world.notified.clear()

    found = await world.store.jobs.make_status_call_due(job.id, NOW)

    assert found is (lane is not Lane.WAIT)
    assert (await world.find(job)).due == Due(lane, min(before, NOW) if found else before)
    notified = {lane for changes in world.notified for lane in changes.due}
    assert notified == ({lane} if found else set())


async def test_make_poll_due_during_a_poll_takes_effect_when_it_ends(world: World) -> None:
    job = await world.create(due=Due(Lane.POLL, NOW))
    assert await lease_due(world.store, Lane.POLL, NOW, NOW + 10 * SECOND, "me", 1) == [job]

    await world.store.jobs.make_poll_due(job.id, NOW + SECOND)

    # The call goes on. When it ends, the job is due, since the time of `make_poll_due`.
    assert await lease_due(world.store, Lane.POLL, NOW + SECOND, NOW + 9 * SECOND, "you", 1) == []
    found = await world.find(job)
    assert found.due == Due(Lane.POLL, NOW + SECOND)
