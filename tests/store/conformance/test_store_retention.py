"""`Retention.remove`: what is removed, and what stays."""

from functools import partial

import pytest

from store.errors import NotFound
from store.records.callbacks import Verdict
from store.records.times import Due, Lane
from store.records.transitions import Transition
from store.retention import MAX_OVERDUE, Removed
from store.rows import to_json
from tests.store.applying import applying
from tests.store.world import (
    HOOK,
    NOW,
    SECOND,
    World,
    completed,
    failed,
    quietly,
    rendering,
)


async def test_a_job_is_removed_with_all_its_rows_and_no_others(world: World) -> None:
    kept = await world.advance(await world.create(webhook_url=HOOK), rendering(relay=True))
    (of_kept,) = await world.lease()
    history = await world.store.jobs.history_of(kept.id)
    job = await world.create(webhook_url=HOOK, metadata={"a": "b"})
    await world.advance(job, completed(relay=True))
    (delivery,) = await world.lease()
    await world.settle(delivery)
    for whole in ({"output": [10**300]}, {"output": [2]}):
        await world.advance(job, partial(Transition, whole_result=whole))
        assert await world.store.jobs.result_of(job.id) == to_json(whole)

    assert await world.remove_finished() == 1

    assert await world.store.jobs.find(job.id) is None
    assert await world.store.jobs.history_of(job.id) == []
    assert await world.store.jobs.result_of(job.id) is None
    assert await world.store.events.after_for_job(job.id, 0, 9) == []
    assert await world.store.deliveries.find(delivery.id) is None
    assert not await world.store.callbacks.exists("samsar", job.id)
    assert await world.store.jobs.input_of(job.id) is None
    with pytest.raises(NotFound):
        await world.advance(job, completed())
    with pytest.raises(NotFound):
        await world.receive(job)
    assert await world.store.jobs.find(kept.id) == kept
    assert await world.store.jobs.history_of(kept.id) == history
    assert await world.store.jobs.input_of(kept.id) == '{"prompt":"a cat"}'
    assert await world.store.deliveries.find(of_kept.id) == of_kept


async def test_jobs_that_ended_before_are_removed_oldest_first(world: World) -> None:
    await world.create()
    ended = [await world.advance(await world.create(), completed(NOW + n)) for n in range(4)]

    assert await world.remove_finished(NOW) == 0
    assert await world.remove_finished(NOW + 3, limit=2) == 2
    assert await world.store.jobs.find(ended[1].id) is None
    assert await world.store.jobs.find(ended[2].id) == ended[2]
    assert await world.remove_finished(NOW + 3, limit=2) == 1
    assert await world.remove_finished(NOW + 3, limit=2) == 0


async def test_a_pending_delivery_keeps_its_job_except_if_held_back_for_weeks(
    world: World,
) -> None:
    """A dead host gets one attempt a minute. With more messages than that, some never get one."""
    job = await world.create(webhook_url=HOOK)
    await world.advance(job, completed(relay=True))
    assert await world.remove_finished() == 0
    assert await world.lease()
    due, leased_until = NOW, NOW + 60 * SECOND

    assert await world.remove_finished(leased_until + MAX_OVERDUE - 1) == 0
    await world.store.outbox.release("me")
    assert await world.remove_finished(due + MAX_OVERDUE - 1) == 0
    assert await world.remove_finished(due + MAX_OVERDUE) == 1


@pytest.mark.parametrize(
    ("verdict", "gone"),
    [(Verdict.CLAIMED, 0), (Verdict.CONFIRMED, 1), (Verdict.LATE, 1)],
)
async def test_an_undecided_callback_keeps_its_job(
    world: World, verdict: Verdict, gone: int
) -> None:
    job = await world.advance(await world.create(), completed())
    await world.receive(job, use=applying(verdict))

    assert await world.remove_finished() == gone


async def test_a_call_that_is_due_keeps_its_job(world: World) -> None:
    """The call may correct the job's failure, or pass on its cancel."""
    job = await world.create()
    await world.advance(job, failed(), quietly(due=Due(Lane.POLL, NOW)))
    assert await world.remove_finished(NOW + 9 * SECOND) == 0

    await world.advance(job, quietly(due=None))

    assert await world.remove_finished() == 1


async def test_a_batch_looks_at_some_jobs_and_the_next_one_goes_on_after_them(
    world: World,
) -> None:
    of_hook = [await world.create(webhook_url=HOOK) for _ in range(2)]
    for job in of_hook:
        await world.advance(job, completed(relay=True))
    await world.advance(await world.create(), completed(NOW + 1))

    after = (NOW, of_hook[-1].id)
    assert await world.store.retention.remove(NOW + 2, 2) == Removed(0, after)
    assert await world.store.retention.remove(NOW + 2, 2, after) == Removed(1, None)
