"""`Backlogs`: users with due jobs, and leases of a limited number for each user."""

import pytest

from store.backlogs import Backlog, BacklogsDue
from store.records.jobs import Job
from store.records.times import Due, Lane, Lease
from tests.store.world import NOW, SECOND, World, new

LEASE = Lease("me", NOW + 10 * SECOND)


@pytest.fixture(params=[Lane.SUBMIT, Lane.POLL, Lane.ARCHIVE])
def lane(request: pytest.FixtureRequest) -> Lane:
    return Lane(request.param)


async def backlogs(world: World, lane: Lane, at: int = NOW) -> list[Backlog]:
    return list((await world.store.backlogs.due(lane, at)).backlogs)


async def lease(
    world: World, lane: Lane, *most: tuple[int, int], at: int = NOW, holder: str = "me"
) -> list[Job]:
    wanted = {Backlog("samsar", user_id): limit for user_id, limit in most}
    return await world.store.backlogs.lease(lane, wanted, at, Lease(holder, at + 10 * SECOND))


async def test_due_lists_each_user_once_longest_due_first(world: World, lane: Lane) -> None:
    ann, bob = world.ann.id, world.bob.id
    assert await world.store.backlogs.due(lane, NOW) == BacklogsDue((), None)
    for _ in range(3):
        await world.create(due=Due(lane, NOW))
    await world.create(world.bob, due=Due(lane, NOW - SECOND))
    await world.create(world.bob, provider="other", due=Due(lane, NOW))
    await world.create(provider="later", due=Due(lane, NOW + SECOND))
    await world.create(provider="of another lane", due=Due(Lane.CONFIRM, NOW - SECOND))

    found = await world.store.backlogs.due(lane, NOW)

    assert found.backlogs[0] == ("samsar", bob)
    assert set(found.backlogs) == {("samsar", bob), ("samsar", ann), ("other", bob)}
    assert found.next_at == NOW + SECOND


async def test_a_users_jobs_are_leased_earliest_first(world: World, lane: Lane) -> None:
    ann = [await world.create(due=Due(lane, NOW - at)) for at in (1, 3, 2)]
    bob = await world.create(world.bob, due=Due(lane, NOW))
    await world.create(provider="other", due=Due(lane, NOW))
    await world.create(due=Due(Lane.CONFIRM, NOW))
    await world.create(due=Due(lane, NOW + 1))

    assert await lease(world, lane, (world.ann.id, 2)) == [ann[1], ann[2]]
    assert await lease(world, lane, (world.ann.id, 9), (world.bob.id, 9)) == [ann[0], bob]
    assert await lease(world, lane, (world.ann.id, 9), (world.bob.id, 9)) == []


async def test_a_lease_that_has_ended_is_free(world: World, lane: Lane) -> None:
    job = await world.create(due=Due(lane, NOW))
    assert await lease(world, lane, (world.ann.id, 1)) == [job]
    assert await backlogs(world, lane) == []
    assert (await world.store.backlogs.due(lane, NOW)).next_at == NOW + 10 * SECOND

    assert await backlogs(world, lane, NOW + 10 * SECOND) == [("samsar", world.ann.id)]
    again = await lease(world, lane, (world.ann.id, 1), at=NOW + 10 * SECOND, holder="you")
    assert again == [job]


async def test_a_job_can_be_created_with_a_lease(world: World) -> None:
    job = world.job()
    await world.store.jobs.create(new(job), lease=LEASE)

    # No process needs to look before that.
    assert [changes.due for changes in world.notified] == [{Lane.SUBMIT: LEASE.until}]
    assert await backlogs(world, Lane.SUBMIT) == []
    assert await backlogs(world, Lane.SUBMIT, LEASE.until) == [("samsar", world.ann.id)]
    await world.store.jobs.release("me", [job.id])
    assert await lease(world, Lane.SUBMIT, (world.ann.id, 1)) == [job]
