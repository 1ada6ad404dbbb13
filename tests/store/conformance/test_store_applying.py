"""`Callbacks.apply`: what waits of a job becomes one change of it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from store.advance import JOB_BYTES
from store.contract import DecideCallbacks, DeliveryFilter
from store.errors import NotApplied, NotFound
from store.records import Callback, CallbackVerdict, Due, Evidence, Job, Lane, Lease, Move, Verdict
from tests.store.applying import apply, applying, stumbling, verdicts
from tests.store.world import HOOK, NOW, SECOND, World, bodies, change, message, waiting

MINUTE = 60 * SECOND


# --- one job --------------------------------------------------------------------------------------


async def test_what_waits_is_applied_in_one_change_oldest_first(world: World) -> None:
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
    assert (applied.job, applied.left) == (applied.move.job, False)
    assert await verdicts(world, job) == ["applied"] * 5 + ["rejected"]
    found = await world.store.jobs.find(job.id)
    assert found == replace(applied.job, callbacks_waiting=False)
    assert (found.seq, found.progress) == (2, 7.0)
    assert len(await world.store.events.after_for_job(job.id, 0, 9)) == 2
    assert [(changes.jobs, changes.users) for changes in world.notified] == [
        ({job.id}, {world.ann.id})
    ]
    assert await verdicts(world, other) == ["waiting"] * 5


async def test_the_whole_move_is_written(world: World) -> None:
    job = await world.create(webhook_url=HOOK)
    await world.receive(job)

    def decide(before: Job, callbacks: Sequence[Callback]) -> Move:
        after = change(NOW + 1, due=Due(Lane.POLL, NOW + 9))(before)
        assert after is not None
        ruling = CallbackVerdict(callbacks[0].id, Verdict.CLAIMED, None, Evidence.CALLBACK)
        return replace(after, relay=message(after.job), verdicts=(ruling,))

    world.notified.clear()
    await apply(world, job, decide)

    mine = DeliveryFilter(user_id=job.user_id)
    (delivery,) = await world.store.deliveries.list_page(mine, None, 9)
    assert (delivery.job_id, delivery.seq) == (job.id, 2)
    assert await verdicts(world, job) == ["claimed"]
    (changes,) = world.notified
    assert (changes.due, changes.relay) == ({Lane.POLL: NOW + 9}, True)


async def test_no_more_than_most_are_applied_at_once(world: World) -> None:
    job = await world.create()
    for body in bodies(5):
        await world.receive(job, body)
    seen: list[list[bytes]] = []

    left = [(await apply(world, job, applying(seen), most=2)).left for _ in range(3)]

    assert seen == [bodies(5)[:2], bodies(5)[2:4], bodies(5)[4:]]
    assert left == [True, True, False]


async def test_where_none_waits_nobody_decides(world: World) -> None:
    job = await world.create()
    await world.receive(job)
    await apply(world, job, applying())
    world.notified.clear()

    again = await apply(world, job, stumbling)

    assert (again.job.seq, again.move, again.left) == (2, None, False)
    assert not any(changes.jobs for changes in world.notified)


async def test_no_move_leaves_them_waiting(world: World) -> None:
    job = await world.create()
    await world.receive(job)

    applied = await apply(world, job, lambda _job, _callbacks: None)

    assert (applied.job.seq, applied.move) == (1, None)
    assert await verdicts(world, job) == ["waiting"]


async def test_what_fails_says_which_were_tried_and_leaves_them_waiting(world: World) -> None:
    job = await world.create()
    for body in bodies(3):
        await world.receive(job, body)
    ids = [callback.id for callback in await waiting(world.store)]

    with pytest.raises(NotApplied) as failure:
        await apply(world, job, stumbling, most=2)

    assert failure.value.callback_ids == ids[:2]
    assert isinstance(failure.value.__cause__, ZeroDivisionError)
    assert await verdicts(world, job) == ["waiting"] * 3
    assert (await apply(world, job, applying())).job.seq == 2


async def test_a_job_that_is_not_kept_is_not_found(world: World) -> None:
    with pytest.raises(NotFound):
        await apply(world, world.job(), applying())


async def test_what_has_failed_for_good_is_not_applied(world: World) -> None:
    job = await world.create()
    for body in bodies(2):
        await world.receive(job, body)
    first, _ = await waiting(world.store)
    for _ in range(3):
        await world.store.callbacks.failed(first.id, NOW)
    seen: list[list[bytes]] = []

    await apply(world, job, applying(seen))

    assert seen == [bodies(2)[1:]]


# --- their size -----------------------------------------------------------------------------------


async def test_bodies_of_any_size_are_read_whole(world: World) -> None:
    job = await world.create()
    sent = [b"a" * size for size in (0, 1, 5_000, 100_000)]
    sent += [b"%d" % number * 3_000 for number in range(4)]  # large ones and small ones in turn
    for body in sent:
        await world.receive(job, body)
    seen: list[list[bytes]] = []

    await apply(world, job, applying(seen))

    assert seen == [sent]


async def test_a_job_s_callbacks_are_as_many_as_fit(world: World) -> None:
    job = await world.create()
    sent = [b"%d" % number * (JOB_BYTES // 4) for number in range(6)]
    for body in sent:
        await world.receive(job, body)
    seen: list[list[bytes]] = []

    left = [(await apply(world, job, applying(seen))).left for _ in range(2)]

    assert [len(bodies) for bodies in seen] == [4, 2]
    assert left == [True, False]
    assert seen[0] + seen[1] == sent


async def test_one_that_is_too_large_for_the_room_goes_by_itself(world: World) -> None:
    job = await world.create()
    sent = [b"x" * (12 * JOB_BYTES), b"{}", b"y" * (2 * JOB_BYTES), b"[]"]
    for body in sent:
        await world.receive(job, body)
    seen: list[list[bytes]] = []

    left = [(await apply(world, job, applying(seen))).left for _ in range(4)]

    assert seen == [[body] for body in sent]
    assert left == [True, True, True, False]


# --- for whoever confirms -------------------------------------------------------------------------


def claiming(at: int = NOW) -> DecideCallbacks:
    return applying(due=Due(Lane.CONFIRM, at))


async def lease(world: World, holder: str, at: int, lane: Lane = Lane.CONFIRM) -> list[str]:
    leased = await world.store.jobs.lease_due(lane, at, at + SECOND, holder, 9)
    return [job.id for job in leased]


async def test_a_claim_is_held_for_whoever_applied_it(world: World) -> None:
    job = await world.create()
    await world.receive(job)
    world.notified.clear()

    hold = Lease("me", NOW + MINUTE)
    await world.store.callbacks.apply(job.id, claiming(), most=9, lease=hold)

    # Nobody else needs to look before the hold ends.
    assert [changes.due for changes in world.notified] == [{Lane.CONFIRM: NOW + MINUTE}]
    assert await lease(world, "you", NOW + MINUTE - 1) == []
    assert await world.store.jobs.next_due(Lane.CONFIRM) == NOW + MINUTE
    assert await lease(world, "you", NOW + MINUTE) == [job.id]


async def test_the_holder_of_a_claim_can_give_it_back(world: World) -> None:
    job = await world.create()
    await world.receive(job)
    hold = Lease("me", NOW + MINUTE)
    await world.store.callbacks.apply(job.id, claiming(), most=9, lease=hold)

    await world.store.jobs.release("me", [job.id])

    assert await lease(world, "you", NOW) == [job.id]


async def test_the_next_change_ends_the_hold(world: World) -> None:
    job = await world.create()
    await world.receive(job)
    hold = Lease("me", NOW + MINUTE)
    await world.store.callbacks.apply(job.id, claiming(), most=9, lease=hold)

    await world.advance(job, change(progress=5.0))

    assert await lease(world, "you", NOW) == [job.id]


async def test_a_claim_that_nobody_holds_is_due_for_all(world: World) -> None:
    job = await world.create()
    await world.receive(job)
    world.notified.clear()

    await apply(world, job, claiming(NOW + 5))

    assert [changes.due for changes in world.notified] == [{Lane.CONFIRM: NOW + 5}]
    assert await lease(world, "you", NOW + 5) == [job.id]


async def test_nothing_but_a_claim_is_held(world: World) -> None:
    job = await world.create()
    await world.receive(job)
    world.notified.clear()

    hold = Lease("me", NOW + MINUTE)
    decide = applying(due=Due(Lane.POLL, NOW + 5))
    await world.store.callbacks.apply(job.id, decide, most=9, lease=hold)

    assert [changes.due for changes in world.notified] == [{Lane.POLL: NOW + 5}]
    assert await lease(world, "you", NOW + 5, Lane.POLL) == [job.id]
