"""`Backlogs` and `Jobs`: due times and leases; `Holds`."""

import pytest

from store.backlogs import Backlog, BacklogsDue
from store.records.events import Note
from store.records.holds import Hold, LimitedUser, ProviderHolds, Refusal
from store.records.jobs import Job
from store.records.moves import Decide, Move
from store.records.times import Due, Lane, Lease
from tests.store.world import NOW, SECOND, World, lease_due, new, quietly


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


# --- users with due jobs --------------------------------------------------------------------------


LEASE = Lease("me", NOW + 10 * SECOND)


@pytest.fixture(params=[Lane.SUBMIT, Lane.POLL, Lane.ARCHIVE])
def lane(request: pytest.FixtureRequest) -> Lane:
    return Lane(request.param)


async def backlogs(world: World, lane: Lane, at: int = NOW) -> list[Backlog]:
    return list((await world.store.backlogs.due(lane, at)).backlogs)


async def lease_of(
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

    assert await lease_of(world, lane, (world.ann.id, 2)) == [ann[1], ann[2]]
    assert await lease_of(world, lane, (world.ann.id, 9), (world.bob.id, 9)) == [ann[0], bob]
    assert await lease_of(world, lane, (world.ann.id, 9), (world.bob.id, 9)) == []


async def test_a_lease_that_has_ended_is_free(world: World, lane: Lane) -> None:
    job = await world.create(due=Due(lane, NOW))
    assert await lease_of(world, lane, (world.ann.id, 1)) == [job]
    assert await backlogs(world, lane) == []
    assert (await world.store.backlogs.due(lane, NOW)).next_at == NOW + 10 * SECOND

    assert await backlogs(world, lane, NOW + 10 * SECOND) == [("samsar", world.ann.id)]
    again = await lease_of(world, lane, (world.ann.id, 1), at=NOW + 10 * SECOND, holder="you")
    assert again == [job]


async def test_a_job_can_be_created_with_a_lease(world: World) -> None:
    job = world.job()
    await world.store.jobs.create(new(job), lease=LEASE)

    # No process needs to look before that.
    assert [changes.due for changes in world.notified] == [{Lane.SUBMIT: LEASE.until}]
    assert await backlogs(world, Lane.SUBMIT) == []
    assert await backlogs(world, Lane.SUBMIT, LEASE.until) == [("samsar", world.ann.id)]
    await world.store.jobs.release("me", [job.id])
    assert await lease_of(world, Lane.SUBMIT, (world.ann.id, 1)) == [job]


# --- holds ----------------------------------------------------------------------------------------


async def test_holds_are_stored_and_announced(world: World) -> None:
    assert await world.store.holds.read() == {}
    refusal = Refusal("job_1", world.ann.id, "ann", 503)
    hold = Hold(NOW + 5 * SECOND, 5 * SECOND, (refusal,), ("job_2",))
    holds = ProviderHolds(
        hold, {world.ann.id: LimitedUser(NOW, hold), 7: LimitedUser(NOW)}, {"j": NOW}
    )

    assert await world.store.holds.change("samsar", lambda before: holds) == holds
    assert [changes.due for changes in world.notified] == [{Lane.SUBMIT: 0}]
    assert await world.store.holds.change("samsar", lambda before: before) == holds
    assert len(world.notified) < 2 or not world.notified[-1].due

    assert await world.store.holds.read() == {"samsar": holds}
    await world.store.holds.change("samsar", lambda _: ProviderHolds())
    assert await world.store.holds.read() == {"samsar": ProviderHolds()}
