"""`Callbacks.apply`: a job's waiting callbacks become one change."""

from dataclasses import replace
from itertools import chain

import pytest

from store.callbacks import JOB_BYTES
from store.errors import NotApplied
from store.records.times import Due, Lane, Lease
from tests.store.applying import apply, applying, failing_decide, verdicts
from tests.store.world import NOW, SECOND, World, bodies, lease_due, waiting

# --- one job ------------------------------------------------------------------------------------


async def test_waiting_callbacks_are_applied_in_one_change_oldest_first(world: World) -> None:
    job, other = await world.create(), await world.create()
    for body in bodies(5):
        await world.receive(job, body)
        await world.receive(other, body)
    await world.receive(job, b"no", readable=False)
    seen: list[list[bytes]] = []
    world.notified.clear()

    applied = await apply(world, job, applying(seen, progress=7.0))

    assert seen == [bodies(5)]
    assert applied.move is not None
    assert (applied.job, applied.has_more) == (applied.move.job, False)
    assert await verdicts(world, job) == ["applied"] * 5 + ["rejected"]
    found = await world.store.jobs.find(job.id)
    assert found == replace(applied.job, callbacks_waiting=False)
    assert (found.seq, found.progress) == (2, 7.0)
    assert len(await world.store.events.after_for_job(job.id, 0, 9)) == 2
    assert [(changes.jobs, changes.users) for changes in world.notified] == [
        ({job.id}, {world.ann.id})
    ]
    assert await verdicts(world, other) == ["waiting"] * 5


QUARTERS = [b"%d" % number * (JOB_BYTES // 4) for number in range(6)]
LARGE = [b"x" * (12 * JOB_BYTES), b"{}", b"y" * (2 * JOB_BYTES), b"[]"]


@pytest.mark.parametrize(
    ("most", "changes"),
    [
        (2, [bodies(5)[:2], bodies(5)[2:4], bodies(5)[4:]]),
        (100, [[b"a" * size for size in (0, 1, 5_000, 100_000, 3, 30_000)]]),
        (100, [QUARTERS[:4], QUARTERS[4:]]),
        (100, [[body] for body in LARGE]),
    ],
    ids=["most", "any-size", "as-many-as-fit", "too-large"],
)
async def test_one_change_applies_a_limited_number_and_size(
    world: World, most: int, changes: list[list[bytes]]
) -> None:
    job = await world.create()
    for body in chain.from_iterable(changes):
        await world.receive(job, body)
    seen: list[list[bytes]] = []

    left = [(await apply(world, job, applying(seen), most)).has_more for _ in changes]

    assert seen == changes
    assert left == [True] * (len(changes) - 1) + [False]


async def test_nothing_is_decided_if_none_waits(world: World) -> None:
    job = await world.create()
    await world.receive(job)
    await apply(world, job, applying())
    world.notified.clear()

    again = await apply(world, job, failing_decide)

    assert (again.job.seq, again.move, again.has_more) == (2, None, False)
    assert not any(changes.jobs for changes in world.notified)


async def test_no_move_leaves_them_waiting(world: World) -> None:
    job = await world.create()
    await world.receive(job)

    applied = await apply(world, job, lambda _job, _callbacks: None)

    assert (applied.job.seq, applied.move) == (1, None)
    assert await verdicts(world, job) == ["waiting"]


async def test_a_failure_names_the_callbacks_and_leaves_them_waiting(world: World) -> None:
    job = await world.create()
    for body in bodies(3):
        await world.receive(job, body)
    ids = [callback.id for callback in await waiting(world.store)]

    with pytest.raises(NotApplied) as failure:
        await apply(world, job, failing_decide, most=2)

    assert failure.value.callback_ids == ids[:2]
    assert isinstance(failure.value.__cause__, ZeroDivisionError)
    assert await verdicts(world, job) == ["waiting"] * 3
    assert (await apply(world, job, applying())).job.seq == 2


async def test_an_abandoned_callback_is_not_applied(world: World) -> None:
    job = await world.create()
    for body in bodies(2):
        await world.receive(job, body)
    first, _ = await waiting(world.store)
    for _ in range(3):
        await world.store.callbacks.count_failure(first.id, NOW)
    seen: list[list[bytes]] = []

    await apply(world, job, applying(seen))

    assert seen == [bodies(2)[1:]]


# --- a lease for the status call that confirms ----------------------------------------------------


async def lease_as(world: World, holder: str, at: int, lane: Lane) -> list[str]:
    leased = await lease_due(world.store, lane, at, at + SECOND, holder, 9)
    return [job.id for job in leased]


LEASE = Lease("me", NOW + 60 * SECOND)


@pytest.mark.parametrize(
    ("lane", "lease", "free_at"),
    [
        (Lane.CONFIRM, LEASE, LEASE.until),
        (Lane.CONFIRM, None, NOW + 5),
        (Lane.POLL, LEASE, NOW + 5),
    ],
    ids=["claim", "claim without a lease", "no claim"],
)
async def test_a_claim_is_leased_to_the_caller_that_applied_it_and_asked_for_it(
    world: World, lane: Lane, lease: Lease | None, free_at: int
) -> None:
    job = await world.create()
    await world.receive(job)
    world.notified.clear()

    decide = applying(due=Due(lane, NOW + 5))
    await world.store.callbacks.apply(job.id, decide, most=9, lease=lease)

    # No other process needs to look before.
    assert [changes.due for changes in world.notified] == [{lane: free_at}]
    assert await lease_as(world, "you", free_at - 1, lane) == []
    assert (await world.store.backlogs.due(lane, NOW)).next_at == free_at
    await world.store.jobs.release("me", [job.id])
    assert await lease_as(world, "you", NOW + 5, lane) == [job.id]
