"""The outbox: webhook URLs that are turned off, and requested retries."""

import pytest

from store.deliveries import DeliveryFilter
from store.errors import NotFound
from store.records.deliveries import DeliveryState
from store.records.times import Lane
from tests.store.outbox import (
    DELIVERED,
    DISABLED,
    EXHAUSTED,
    PENDING,
    SKIPPED,
    lease_one,
    relayed,
    reload,
)
from tests.store.world import NOW, SECOND, World, completed, rendering


async def test_a_410_turns_off_the_address_of_its_job(world: World) -> None:
    job, other = await relayed(world), await relayed(world)
    update = next(each for each in await world.lease() if each.job_id == job.id)
    await world.advance(job, rendering(relay=True))

    assert await world.settle(update, DISABLED)

    assert await world.deliveries(job) == {2: DISABLED, 3: DISABLED}
    assert await world.deliveries(other) == {2: PENDING}
    found = await world.find(job)
    assert found.webhook_off
    await world.advance(job, completed(relay=True))
    assert await world.deliveries(job) == {2: DISABLED, 3: DISABLED, 4: DISABLED}


@pytest.mark.parametrize("state", [DELIVERED, EXHAUSTED, DISABLED])
async def test_a_delivery_can_be_retried(world: World, state: DeliveryState) -> None:
    job = await relayed(world)
    delivery = await lease_one(world)
    await world.settle(delivery, state)
    world.notified.clear()

    retried = await world.store.outbox.retry(delivery.id, NOW + 7)

    assert retried == await reload(world, delivery)
    assert (retried.state, retried.step, retried.next_attempt_at) == (PENDING, 0, NOW + 7)
    assert (retried.delivered_at, len(retried.attempts)) == (None, 1)
    assert (await lease_one(world, at=NOW + 7)).id == delivery.id
    assert Lane.DELIVER in world.notified[0].due
    assert not (await world.find(job)).webhook_off  # a retry turns the URL on again


async def test_a_retried_delivery_is_out_of_order_until_its_attempt(world: World) -> None:
    job = await relayed(world)
    retried = await lease_one(world)
    await world.settle(retried, EXHAUSTED)
    await world.advance(job, rendering(relay=True))
    in_flight = await lease_one(world)
    await world.store.outbox.retry(retried.id, NOW + 1)
    assert await world.lease(at=NOW + 1) == [], "it waits for the one in flight"
    await world.settle(in_flight)
    await world.advance(job, rendering(relay=True), rendering(relay=True))
    assert await world.deliveries(job) == {2: PENDING, 3: DELIVERED, 4: SKIPPED, 5: PENDING}

    newer = await lease_one(world)
    assert newer.seq == 5, "which does not wait for it"
    await world.settle(newer, PENDING, NOW + 2)
    assert (await lease_one(world, at=NOW + 2)).id == retried.id, "nor does it wait"
    await world.settle(retried, PENDING, NOW + 5 * SECOND)

    assert await world.deliveries(job) == {2: SKIPPED, 3: DELIVERED, 4: SKIPPED, 5: PENDING}


async def test_a_pending_delivery_that_is_retried_keeps_its_place(world: World) -> None:
    job = await relayed(world)
    update = await lease_one(world)
    await world.advance(job, completed(relay=True))
    (last, _), _ = await world.store.deliveries.list_page(DeliveryFilter(job_id=job.id), None, 9)

    retried = await world.store.outbox.retry(last.id, NOW)
    assert (retried.state, retried.next_attempt_at) == (PENDING, NOW)
    assert await world.lease(at=NOW) == []
    await world.settle(update, DELIVERED)
    assert (await lease_one(world)).id == last.id
    await world.settle(last, PENDING, NOW + 60 * SECOND)
    assert (await world.store.outbox.retry(last.id, NOW + SECOND)).step == 0
    assert (await lease_one(world, at=NOW + SECOND)).id == last.id

    with pytest.raises(NotFound):
        await world.store.outbox.retry("msg_unknown", NOW)


async def test_many_deliveries_are_retried_by_state(world: World) -> None:
    for n in range(3):
        await relayed(world, webhook_url=f"https://h{n}.example/")
    off, failed, pending = await world.lease()
    await world.settle(off, DISABLED)
    await world.settle(failed, EXHAUSTED)
    world.notified.clear()
    every = [delivery.id for delivery in (off, failed, pending)] + ["msg_unknown"]

    assert await world.store.outbox.retry_those(every, DISABLED, NOW + 7) == 1

    again_due = await reload(world, off)
    assert (again_due.state, again_due.next_attempt_at) == (PENDING, NOW + 7)
    assert (await reload(world, failed)).state is EXHAUSTED
    job = await world.store.jobs.find(off.job_id)
    assert job is not None
    assert not job.webhook_off
    assert Lane.DELIVER in world.notified[0].due
