"""`DueJobs`: fair looks at a lane, and leases. `Jobs.make_poll_due`."""

from collections.abc import Sequence

import pytest

from store import lanes
from store.due import PUT_OFF
from store.keys import User
from store.lanes import START, Bookmark, Candidate, Choose, Found, Look
from store.records.events import Note
from store.records.jobs import Job, Phase
from store.records.times import Due, Lane, Lease
from store.records.transitions import Decide, Transition
from tests.store.world import NOW, SECOND, World, everything, lease_due, quietly

LEASE = Lease("me", NOW + 10 * SECOND)


async def lease(world: World, holder: str = "me", at: int = NOW) -> list[Job]:
    return await lease_due(world.store, Lane.SUBMIT, at, at + 10 * SECOND, holder, 10)


async def look(
    world: World,
    lane: Lane = Lane.SUBMIT,
    most: int = 10,
    *,
    at: int = NOW,
    choose: Choose = everything,
    bookmark: Bookmark = START,
) -> Found[Job]:
    return await world.store.due.lease(Look(lane, at, most, choose, bookmark), LEASE)


async def due_jobs(world: World, user: User, *ages: int, lane: Lane = Lane.SUBMIT) -> list[Job]:
    """Jobs that have been due for so many milliseconds."""
    return [await world.create(user, due=Due(lane, NOW - age)) for age in ages]


# --- what a look takes ----------------------------------------------------------------------------


@pytest.mark.parametrize("lane", [Lane.SUBMIT, Lane.CONFIRM, Lane.POLL, Lane.ARCHIVE])
async def test_a_look_takes_what_is_due_in_its_lane_oldest_first(world: World, lane: Lane) -> None:
    second, first, third = await due_jobs(world, world.ann, 5, 9, 1, lane=lane)
    await world.create(due=Due(lane, NOW + SECOND))
    await world.create(due=Due(Lane.WAIT, NOW - SECOND))

    found = await look(world, lane, most=2)
    assert (found.taken, found.bookmark) == ([first, second], START)

    found = await look(world, lane)
    assert (found.taken, found.has_more, found.next_at) == ([third], False, NOW + SECOND)


@pytest.mark.parametrize(
    ("in_flight", "taken"),
    [
        ((0, 0), ["ann", "bob", "ann", "bob"]),
        ((1, 0), ["bob", "ann", "bob", "ann"]),
        ((4, 0), ["bob", "bob", "bob", "bob"]),
        ((0, 2), ["ann", "ann", "ann", "bob"]),
    ],
)
async def test_a_free_slot_goes_to_the_user_with_the_fewest_in_flight(
    world: World, in_flight: tuple[int, int], taken: list[str]
) -> None:
    """Ties go to the oldest: ann's jobs are older."""
    for user, count in zip((world.ann, world.bob), in_flight, strict=True):
        await due_jobs(world, user, *[99_000] * count, lane=Lane.POLL)
    await look(world, Lane.POLL)
    await due_jobs(world, world.ann, *range(50, 55), lane=Lane.POLL)
    await due_jobs(world, world.bob, *range(20, 25), lane=Lane.POLL)

    found = await look(world, Lane.POLL, most=4)

    assert [job.user for job in found.taken] == taken


async def test_submissions_under_way_count_as_in_flight(world: World) -> None:
    under_way = Due(Lane.SUBMITTING, NOW + SECOND)
    await world.create(world.ann, phase=Phase.SUBMITTING, due=under_way)
    await due_jobs(world, world.ann, 9)
    await due_jobs(world, world.bob, 1)
    assert [job.user for job in (await look(world, most=1)).taken] == ["bob"]


async def test_only_what_was_chosen_is_taken(world: World) -> None:
    first, second = await due_jobs(world, world.ann, 2, 1)
    seen: list[Candidate] = []

    def choose(candidates: Sequence[Candidate]) -> Sequence[Candidate]:
        seen.extend(candidates)
        return candidates[1:]

    found = await look(world, choose=choose)

    assert (found.taken, found.has_more) == ([second], True)
    assert seen[0] == Candidate(first.id, first.id, world.ann.id, "samsar", NOW - 2, rank=1)
    assert [each.id for each in found.refused] == [first.id]
    assert (await look(world)).taken == [first]


async def test_a_look_reads_a_bounded_number_of_rows_and_the_next_one_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So one user's many jobs, and many users, cost no more than a few."""
    monkeypatch.setattr(lanes, "ROWS_PER_LOOK", 3)
    ann = await due_jobs(world, world.ann, *range(9, 5, -1))
    (bob,) = await due_jobs(world, world.bob, 1)
    await world.create(world.ann, provider="aaa", due=Due(Lane.SUBMIT, NOW + SECOND))

    found = await look(world, most=1)
    assert found.taken == [ann[0]]
    assert (found.bookmark.peer, found.bookmark.user_id) == ("samsar", world.ann.id)

    found = await look(world, most=1, bookmark=found.bookmark)
    assert (found.taken, found.bookmark) == ([bob], START)
    assert found.next_at == NOW + SECOND, "found by the first look"


# --- changing at once -----------------------------------------------------------------------------


async def test_due_jobs_can_be_changed_where_they_are_taken(world: World) -> None:
    jobs = await due_jobs(world, world.ann, 2, 1) + await due_jobs(world, world.bob, 3)
    world.notified.clear()

    later = Due(Lane.WAIT, NOW + 5 * SECOND)
    given: Look = Look(Lane.SUBMIT, NOW, 10, everything)
    found = await world.store.due.advance(given, quietly(due=later))

    assert {changed.job.id for changed in found.taken} == {job.id for job in jobs}
    assert [(await world.find(job)).due for job in jobs] == [later] * 3
    assert world.notified[-1].due == {Lane.WAIT: later.at}
    assert (await world.store.due.advance(given, quietly(due=later))).taken == []


async def test_a_job_that_cannot_be_decided_is_put_off_and_stops_no_other(world: World) -> None:
    poisoned, good = await due_jobs(world, world.ann, 2, 1)

    def decide(job: Job) -> Transition | None:
        if job.id == poisoned.id:
            raise ZeroDivisionError
        return quietly(due=None)(job)

    found = await world.store.due.advance(Look(Lane.SUBMIT, NOW, 10, everything), decide)

    errors = {changed.job.id: type(changed.error) for changed in found.taken}
    assert errors == {poisoned.id: ZeroDivisionError, good.id: type(None)}
    assert (await world.find(good)).due is None
    assert (await world.find(poisoned)).due == Due(Lane.SUBMIT, NOW + PUT_OFF)


# --- leases ---------------------------------------------------------------------------------------


async def test_a_leased_job_is_not_due_until_its_lease_ends(world: World) -> None:
    job = await world.create()
    assert await lease(world, "me") == [job]
    assert (await look(world)).next_at == LEASE.until
    assert await lease(world, "you", at=LEASE.until - 1) == []
    assert await lease(world, "you", at=LEASE.until) == [job]


async def test_a_released_job_is_due_as_before(world: World) -> None:
    job, kept = await world.create(), await world.create()
    assert await lease(world, "me") == [job, kept]
    world.notified.clear()

    await world.store.due.release("another", [job])
    assert await lease(world, "you") == []

    await world.store.due.release("me", [job])
    assert {lane for notice in world.notified for lane in notice.due} == {Lane.SUBMIT}
    assert await lease(world, "you") == [job]
    await world.store.end_leases()
    assert await lease(world, "me") == [job, kept]


async def test_a_release_leaves_the_lease_of_another_lane(world: World) -> None:
    """A callback can end a job during its status call, and the same process then leases it for its
    download: the end of the call must not let another process download it too."""
    job = await world.create(due=Due(Lane.POLL, NOW))
    assert (await look(world, Lane.POLL)).taken == [job]
    ended = await world.advance(job, quietly(due=Due(Lane.ARCHIVE, NOW)))
    assert (await look(world, Lane.ARCHIVE)).taken == [ended]

    await world.store.due.release(LEASE.holder, [job])
    await world.store.due.postpone(LEASE.holder, job, NOW)

    assert (await look(world, Lane.ARCHIVE)).taken == []


@pytest.mark.parametrize(
    ("decide", "ends"),
    [
        (quietly(due=Due(Lane.SUBMIT, NOW - 1)), True),
        (
            lambda job: Transition(job, notes=(Note("submission", {"outcome": "not_sent"}, NOW),)),
            False,
        ),
        (lambda _: None, False),
    ],
    ids=["change", "note", "nothing"],
)
async def test_a_change_ends_the_lease(world: World, decide: Decide, ends: bool) -> None:
    job = await world.create()
    await lease(world, "me")

    later = await world.advance(job, decide)

    assert await lease(world, "you") == ([later] if ends else [])


# --- polls that are due earlier -------------------------------------------------------------------


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
    notified = {lane for notice in world.notified for lane in notice.due}
    assert notified == ({Lane.POLL} if before != after else set())


async def test_make_poll_due_during_a_poll_takes_effect_when_it_ends(world: World) -> None:
    job = await world.create(due=Due(Lane.POLL, NOW))
    assert await lease_due(world.store, Lane.POLL, NOW, NOW + 10 * SECOND, "me", 1) == [job]

    await world.store.jobs.make_poll_due(job.id, NOW + SECOND)

    # The call goes on. When it ends, the job is due, since the time of `make_poll_due`.
    assert await lease_due(world.store, Lane.POLL, NOW + SECOND, NOW + 9 * SECOND, "you", 1) == []
    found = await world.find(job)
    assert found.due == Due(Lane.POLL, NOW + SECOND)
