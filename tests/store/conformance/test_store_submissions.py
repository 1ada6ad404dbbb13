"""`Submissions`: the queue, its leases, and the holds."""

from dataclasses import replace

from store.holds import Hold, LimitedUser, ProviderHolds, Refusal
from store.records.jobs import Job
from store.records.times import Due, Lane, Lease
from store.submissions import Backlog
from tests.store.world import NOW, SECOND, World, accepted, new

LEASE = Lease("me", NOW + 10 * SECOND)


async def backlogs(world: World, at: int = NOW) -> list[Backlog]:
    return list((await world.store.submissions.due(at)).backlogs)


async def lease(
    world: World, *most: tuple[int, int], at: int = NOW, holder: str = "me"
) -> list[Job]:
    wanted = {Backlog("samsar", user_id): limit for user_id, limit in most}
    return await world.store.submissions.lease(wanted, at, Lease(holder, at + 10 * SECOND))


async def test_due_lists_each_user_once_longest_due_first(world: World) -> None:
    ann, bob = world.ann.id, world.bob.id
    assert await world.store.submissions.due(NOW) == replace(
        await world.store.submissions.due(NOW), backlogs=(), next_at=None
    )
    for _ in range(3):
        await world.create(at=NOW)
    await world.create(world.bob, at=NOW - SECOND)
    await world.create(world.bob, provider="other")
    await world.create(provider="later", due=Due(Lane.SUBMIT, NOW + SECOND))
    polled = await world.create(provider="polled")
    await world.advance(polled, accepted(poll_at=NOW - SECOND))

    found = await world.store.submissions.due(NOW)

    assert found.backlogs[0] == ("samsar", bob)
    assert set(found.backlogs) == {("samsar", bob), ("samsar", ann), ("other", bob)}
    assert found.next_at == NOW + SECOND


async def test_a_users_submissions_are_leased_earliest_first(world: World) -> None:
    ann = [await world.create(due=Due(Lane.SUBMIT, NOW - at)) for at in (1, 3, 2)]
    bob = await world.create(world.bob)
    await world.create(provider="other")

    assert await lease(world, (world.ann.id, 2)) == [ann[1], ann[2]]
    assert await lease(world, (world.ann.id, 9), (world.bob.id, 9)) == [ann[0], bob]
    assert await lease(world, (world.ann.id, 9), (world.bob.id, 9)) == []


async def test_a_lease_that_has_ended_is_free(world: World) -> None:
    job = await world.create()
    assert await lease(world, (world.ann.id, 1)) == [job]
    assert await backlogs(world) == []
    assert (await world.store.submissions.due(NOW)).next_at == NOW + 10 * SECOND

    assert await backlogs(world, NOW + 10 * SECOND) == [("samsar", world.ann.id)]
    assert await lease(world, (world.ann.id, 1), at=NOW + 10 * SECOND, holder="you") == [job]


async def test_a_job_can_be_created_with_a_lease(
    world: World,
) -> None:
    job = world.job()
    await world.store.jobs.create(new(job), lease=LEASE)

    # Nobody else needs to look before that.
    assert [changes.due for changes in world.notified] == [{Lane.SUBMIT: LEASE.until}]
    assert await backlogs(world) == []
    assert await backlogs(world, LEASE.until) == [("samsar", world.ann.id)]
    await world.store.jobs.release("me", [job.id])
    assert await lease(world, (world.ann.id, 1)) == [job]


async def test_holds_are_stored_and_announced(world: World) -> None:
    submissions = world.store.submissions
    assert await submissions.holds() == {}
    refusal = Refusal("job_1", world.ann.id, "ann", 503)
    hold = Hold(NOW + 5 * SECOND, 5 * SECOND, (refusal,), ("job_2",))
    holds = ProviderHolds(
        hold, {world.ann.id: LimitedUser(NOW, hold), 7: LimitedUser(NOW)}, {"j": NOW}
    )

    assert await submissions.change_holds("samsar", lambda before: holds) == holds
    assert [changes.due for changes in world.notified] == [{Lane.SUBMIT: 0}]
    assert await submissions.change_holds("samsar", lambda before: before) == holds
    assert len(world.notified) < 2 or not world.notified[-1].due

    assert await submissions.holds() == {"samsar": holds}
    await submissions.change_holds("samsar", lambda _: ProviderHolds())
    assert await submissions.holds() == {"samsar": ProviderHolds()}
