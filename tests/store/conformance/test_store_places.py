"""Places at a provider: who gets a free one, the count, and what waits before a job."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pytest

from store.due import Changed
from store.job_reads import JobFilter
from store.keys import User
from store.lanes import Candidate, Choose, Found, Look
from store.records.events import Note
from store.records.jobs import Job, Phase, Status
from store.records.times import Due, Lane
from store.records.transitions import Transition
from tests.store.world import NOW, SECOND, World, add_key, everything, failed, new, quietly

UNDER_WAY = Due(Lane.SUBMITTING, NOW + SECOND)
IN_FLIGHT = tuple(phase for phase in Phase if phase not in (Phase.QUEUED, Phase.FINISHED))


def begin(job: Job) -> Transition:
    """Take a place."""
    return Transition(replace(job, phase=Phase.SUBMITTING, due=UNDER_WAY))


def const(transition: Transition, _: Job) -> Transition:
    return transition


async def take(
    world: World, limit: int, most: int = 32, choose: Choose = everything
) -> tuple[list[str], Found[Changed]]:
    """The labels of the jobs that get a place at fal, and the look."""
    look = Look(Lane.SUBMIT, NOW, most, choose, limits={"fal": limit, "replicate": 1})
    found = await world.store.due.advance(look, begin)
    return [each.job.label or "" for each in found.taken], found


async def waiting(world: World, user: User, label: str, ages: Sequence[int], batch: bool) -> None:
    for number, age in enumerate(ages):
        job = world.job(user, NOW - age, provider="fal", label=f"{label}{number}")
        await world.store.jobs.create(replace(new(job), batch=batch))


async def in_flight(world: World, user: User, count: int, phase: Phase = Phase.SUBMITTING) -> None:
    for _ in range(count):
        job = await world.create(user, provider="fal", phase=Phase.SUBMITTING, due=UNDER_WAY)
        if phase is not Phase.SUBMITTING:
            fields: dict[str, object] = {"accepted_at": NOW, "unconfirmed_at": NOW, "phase": phase}
            if phase is Phase.RENDERING:
                fields["status"] = Status.IN_PROGRESS
            await world.advance(job, quietly(**fields, due=Due(Lane.WAIT, NOW)))


@pytest.mark.parametrize(
    ("under_way", "normal", "batch", "limit", "taken"),
    [
        # One user: the oldest first, as many as there are places.
        ({}, {"ann": [3, 2, 1]}, {}, 2, "ann0 ann1"),
        ({"ann": 2}, {"ann": [3]}, {}, 2, ""),
        ({"ann": 3}, {"ann": [3]}, {}, 2, ""),
        # The user with the fewest in flight, counting those just taken.
        ({"ann": 1}, {"ann": [9], "bob": [1]}, {}, 2, "bob0"),
        ({"ann": 1}, {"ann": [9], "bob": [2, 1]}, {}, 3, "bob0 ann0"),
        ({"ann": 3}, {"ann": [9], "bob": [4, 3, 2, 1]}, {}, 6, "bob0 bob1 bob2"),
        # Among equals, the one whose oldest job waits longest.
        ({}, {"ann": [5, 4, 3], "bob": [8, 1]}, {}, 3, "bob0 ann0 ann1"),
        # Batch jobs only while no normal job waits, by the same rules.
        ({}, {"bob": [1]}, {"ann": [9]}, 1, "bob0"),
        ({}, {"bob": [1]}, {"ann": [9, 8]}, 2, "bob0 ann0"),
        ({"ann": 1}, {}, {"ann": [9], "bob": [8]}, 2, "bob0"),
        ({"bob": 5}, {"bob": [2, 1]}, {"ann": [9]}, 7, "bob0 bob1"),
        ({}, {"ann": [1]}, {"ann": [9]}, 1, "ann0"),
    ],
)
async def test_a_free_place_goes_to(
    world: World,
    under_way: dict[str, int],
    normal: dict[str, list[int]],
    batch: dict[str, list[int]],
    limit: int,
    taken: str,
) -> None:
    users = {"ann": world.ann, "bob": world.bob}
    for name, count in under_way.items():
        await in_flight(world, users[name], count)
    for is_batch, jobs in ((False, normal), (True, batch)):
        for name, ages in jobs.items():
            await waiting(world, users[name], name, ages, is_batch)

    got, found = await take(world, limit)

    assert sorted(got) == sorted(taken.split())
    assert found.has_more is (len(got) < sum(map(len, [*normal.values(), *batch.values()])))


@pytest.mark.parametrize("phase", Phase)
async def test_a_job_takes_a_place_until_it_is_finished(world: World, phase: Phase) -> None:
    if phase is Phase.FINISHED:
        await world.advance(await world.create(provider="fal"), failed())
    elif phase is not Phase.QUEUED:
        await in_flight(world, world.ann, 1, phase)
    await waiting(world, world.bob, "bob", [1], batch=False)

    taken, _ = await take(world, limit=1)

    assert taken == ([] if phase in IN_FLIGHT else ["bob0"])
    assert await world.store.places.in_flight("fal") == 1


async def test_who_may_not_go_holds_up_neither_others_nor_batch_jobs(world: World) -> None:
    await waiting(world, world.ann, "ann", [9, 8], batch=False)
    await waiting(world, world.bob, "bob", [2], batch=True)
    kept_back = world.job(world.bob, NOW, provider="fal", due=Due(Lane.SUBMIT, NOW + 1))
    await world.store.jobs.create(new(kept_back))

    def not_ann(candidates: Sequence[Candidate]) -> Sequence[Candidate]:
        return [each for each in candidates if each.user_id != world.ann.id]

    taken, found = await take(world, limit=1, choose=not_ann)
    assert (taken, found.has_more, found.next_at) == (["bob0"], True, NOW + 1)


async def test_a_limit_is_no_limit_for_other_providers(world: World) -> None:
    """Nor do the jobs at one provider keep those at another from the slots."""
    await waiting(world, world.ann, "fal", range(9, 4, -1), batch=False)
    for provider, age in (("replicate", 4), ("replicate", 3), ("samsar", 2), ("samsar", 1)):
        await world.create(world.ann, NOW - age, provider=provider, label=f"{provider}{age}")

    taken, _ = await take(world, limit=4, most=4)
    assert sorted(taken) == ["fal0", "fal1", "replicate4", "samsar2"]
    taken, found = await take(world, limit=4)
    assert (sorted(taken), found.has_more) == (["fal2", "fal3", "samsar1"], True)


async def test_many_users_wait_and_each_is_seen(world: World) -> None:
    """Also beyond the bound of a look."""
    for number in range(140):
        user = await add_key(world.store, f"user{number}")
        await in_flight(world, user, 1 if number < 139 else 0)
        await waiting(world, user, f"{number}-", [200 - number], batch=False)

    assert (await take(world, limit=140))[0] == ["139-0"]


async def test_two_takers_never_exceed_the_limit(world: World) -> None:
    await waiting(world, world.ann, "ann", range(40, 20, -1), batch=False)

    taken = await asyncio.gather(*(take(world, limit=5, most=2) for _ in range(8)))

    assert sum(len(got) for got, _ in taken) == 5
    assert await world.store.places.in_flight("fal") == 5


async def test_a_transition_that_frees_a_place_wakes_the_lane(world: World) -> None:
    job = await world.create(provider="fal", phase=Phase.SUBMITTING, due=UNDER_WAY)
    for frees, due in ((False, {}), (True, {Lane.SUBMIT: 0})):
        world.notified.clear()
        transition = Transition(job, frees_place=frees)
        await world.advance(job, partial(const, transition))
        assert [notice.due for notice in world.notified] == [due]


@pytest.mark.parametrize("by_priority", [True, False])
async def test_what_goes_ahead_of_a_job(world: World, by_priority: bool) -> None:
    for user, ages, batch in (
        (world.ann, [9, 5], True),
        (world.ann, [8, 7, 3], False),
        (world.bob, [20, 10], False),
    ):
        await waiting(world, user, f"{user.name}-{batch}-", ages, batch)
    await world.create(world.ann, NOW - 30)  # at another provider
    jobs, _ = await world.store.jobs.list_page(world.ann.id, JobFilter(provider="fal"), None, 10)

    ahead = {
        job.label: await world.store.places.ahead(job, by_priority=by_priority) for job in jobs
    }

    behind, first = ([3, 4], [0, 1, 2]) if by_priority else ([0, 3], [1, 2, 4])
    assert ahead == {
        **{f"ann-True-{number}": count for number, count in enumerate(behind)},
        **{f"ann-False-{number}": count for number, count in enumerate(first)},
    }
    # A job that its own pause keeps back does not count, and keeps its priority.
    oldest = next(job for job in jobs if job.label == "ann-True-0")
    await world.advance(oldest, quietly(due=Due(Lane.WAIT, NOW)))
    assert await world.store.places.ahead(oldest, by_priority=by_priority) == behind[0]


@pytest.mark.parametrize("by_priority", [True, False])
async def test_what_will_go_ahead_of_a_job_that_is_not_stored_yet(
    world: World, by_priority: bool
) -> None:
    await waiting(world, world.ann, "batch", [9, 5], True)
    await waiting(world, world.ann, "normal", [8], False)
    await waiting(world, world.bob, "other", [8], False)
    (found, *_), _ = await world.store.jobs.list_page(world.ann.id, JobFilter(), None, 1)
    new = found.changed(id="job_x", created_at=NOW)

    counts = [
        await world.store.places.ahead(new, batch=batch, by_priority=by_priority)
        for batch in (False, True)
    ]

    assert counts == ([1, 3] if by_priority else [3, 3])


async def test_the_way_back_in_a_list(world: World) -> None:
    await waiting(world, world.ann, "a", [9, 8, 7, 6, 5], False)
    where = JobFilter(provider="fal", created_before=NOW)
    jobs, _ = await world.store.jobs.list_page(world.ann.id, where, None, 10)
    ids = [job.id for job in jobs]

    befores = [
        await world.store.jobs.before_previous_page(world.ann.id, where, each, 2) for each in ids
    ]

    assert befores == [None, None, *ids[:3]]


async def test_the_reason_of_the_last_attempt(world: World) -> None:
    job = await world.create()
    reasons = [await world.store.places.last_reason(job.id)]
    for type_, reason in (("submission", "refused"), ("other", "no"), ("submission", "told later")):
        notes = (Note(type_, {"reason": reason}),)
        await world.advance(job, partial(const, Transition(job, notes=notes)))
        reasons.append(await world.store.places.last_reason(job.id))
    assert reasons == [None, "refused", "refused", "told later"]
