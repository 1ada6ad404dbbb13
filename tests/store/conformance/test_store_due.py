"""`Jobs`: what is due, and who holds it."""

import asyncio

import pytest

from store.records import Due, Job, Lane, Move, Note
from tests.store.world import NOW, SECOND, World, accepted, quietly


async def lease(world: World, holder: str = "me", at: int = NOW, limit: int = 10) -> list[Job]:
    return await world.store.jobs.lease_due(Lane.SUBMIT, at, at + 10 * SECOND, holder, limit)


async def test_what_is_due_comes_earliest_first(world: World) -> None:
    late, soon, early = [
        await world.create(due=Due(Lane.SUBMIT, NOW + at)) for at in (2 * SECOND, SECOND, 0)
    ]

    assert await lease(world, at=NOW + SECOND) == [early, soon]
    assert await lease(world, at=NOW + 2 * SECOND) == [late]


async def test_a_lease_is_limited_to_its_lane_and_number(world: World) -> None:
    first, second = await world.create(), await world.create(due=Due(Lane.SUBMIT, NOW + 1))
    polled = await world.advance(await world.create(), accepted(poll_at=NOW))

    assert await lease(world, at=NOW + 1, limit=1) == [first]
    assert await lease(world, at=NOW + 1, limit=9) == [second]
    assert await world.store.jobs.lease_due(Lane.POLL, NOW, NOW + 1, "me", 9) == [polled]
    assert await world.store.jobs.lease_due(Lane.CONFIRM, NOW, NOW + 1, "me", 9) == []


async def test_two_holders_never_share_a_job(world: World) -> None:
    made = {(await world.create()).id for _ in range(20)}

    leases = await asyncio.gather(*(lease(world, f"h{n}", limit=3) for n in range(9)))

    taken = [job.id for each in leases for job in each]
    assert len(taken) == 20
    assert set(taken) == made


async def test_a_hold_ends_by_itself(world: World) -> None:
    job = await world.create()
    assert await lease(world, "gone") == [job]

    assert await lease(world, at=NOW + 10 * SECOND - 1) == []
    assert await lease(world, at=NOW + 10 * SECOND) == [job]


async def test_a_hold_of_before_the_clock_was_set_back_has_ended(world: World) -> None:
    """The hold is of ten seconds, and clocks of two processes may be ten minutes apart."""
    job = await world.create(at=NOW - 3_600 * SECOND)
    assert await lease(world, "me") == [job]

    assert await lease(world, "you", at=NOW - 600 * SECOND) == []
    assert await lease(world, "you", at=NOW - 601 * SECOND) == [job]


async def test_a_released_job_is_due_as_it_was(world: World) -> None:
    job, kept = await world.create(), await world.create()
    assert await lease(world, "me") == [job, kept]
    world.notified.clear()

    await world.store.jobs.release("another", [job.id])
    assert await lease(world, "you") == []

    await world.store.jobs.release("me", [job.id])
    assert {lane for changes in world.notified for lane in changes.due} == {Lane.SUBMIT}
    assert await lease(world, "you") == [job]


async def test_a_new_process_ends_every_hold(world: World) -> None:
    job = await world.create()
    assert await lease(world, "gone") == [job]

    await world.store.jobs.end_holds()

    assert await lease(world, "me") == [job]


async def test_a_change_ends_the_hold(world: World) -> None:
    job = await world.create()
    await lease(world, "me")

    later = await world.advance(job, quietly(due=Due(Lane.SUBMIT, NOW - 1)))

    assert await lease(world, "you") == [later]


async def test_a_line_of_the_journal_leaves_the_hold(world: World) -> None:
    """What is noted of an earlier attempt takes the job from nobody."""
    job = await world.create()
    await lease(world)

    noted = Note("submission", {"outcome": "not_sent"}, NOW)
    await world.advance(job, lambda held: Move(held, notes=(noted,)))

    assert await lease(world, "another") == []


async def test_no_change_leaves_the_hold(world: World) -> None:
    job = await world.create()
    await lease(world, "me")

    await world.store.jobs.advance(job.id, lambda _: None)

    assert await lease(world, "you") == []


async def test_a_job_that_waits_for_nothing_is_not_due(world: World) -> None:
    job = await world.create()

    later = await world.advance(job, quietly(due=None))

    assert later.due is None
    assert await world.store.jobs.find(job.id) == later
    assert await lease(world, at=NOW + 99 * SECOND) == []


async def test_next_due_tells_when_something_can_be_leased(world: World) -> None:
    assert await world.store.jobs.next_due(Lane.SUBMIT) is None
    await world.create()
    await world.create(due=Due(Lane.SUBMIT, NOW + 20 * SECOND))
    assert await world.store.jobs.next_due(Lane.SUBMIT) == NOW

    await lease(world, "me")

    assert await world.store.jobs.next_due(Lane.SUBMIT) == NOW + 10 * SECOND  # the hold's end
    assert await world.store.jobs.next_due(Lane.POLL) is None


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
async def test_poll_at_once_brings_a_poll_forward(
    world: World, lane: Lane, before: int, after: int
) -> None:
    job = await world.create(due=Due(lane, before))
    world.notified.clear()

    await world.store.jobs.poll_at_once(job.id, NOW)

    found = await world.find(job)
    assert found.due == Due(lane, after)
    notified = {lane for changes in world.notified for lane in changes.due}
    assert notified == ({Lane.POLL} if before != after else set())


async def test_poll_at_once_makes_a_job_due_again_whose_poll_is_under_way(world: World) -> None:
    job = await world.create(due=Due(Lane.POLL, NOW))
    jobs = world.store.jobs
    assert await jobs.lease_due(Lane.POLL, NOW, NOW + 10 * SECOND, "me", 1) == [job]

    await jobs.poll_at_once(job.id, NOW + SECOND)

    # The call goes on; its end finds that the job is due, and since when.
    assert await jobs.lease_due(Lane.POLL, NOW + SECOND, NOW + 9 * SECOND, "you", 1) == []
    found = await world.find(job)
    assert found.due == Due(Lane.POLL, NOW + SECOND)
