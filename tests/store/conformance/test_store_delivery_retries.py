"""The outbox: webhook URLs that are turned off, and requested retries."""

import pytest

from store.delivery_reads import DeliveryFilter
from store.errors import NotFound
from store.records.deliveries import DeliveryState
from store.records.times import Lane
from tests.store.outbox import (
    DELIVERED,
    DISABLED,
    EXHAUSTED,
    PENDING,
    SKIPPED,
    exhausted,
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

    retried = await world.store.deliveries.retry(delivery.id, NOW + 7)

    assert retried == await reload(world, delivery)
    assert (retried.state, retried.step, retried.next_attempt_at) == (PENDING, 0, NOW + 7)
    assert (retried.delivered_at, len(retried.attempts)) == (None, 1)
    assert (await lease_one(world, at=NOW + 7)).id == delivery.id
    assert Lane.DELIVER in world.notified[0].due
    assert not (await world.find(job)).webhook_off  # a retry turns the URL on again


async def test_a_retried_delivery_is_out_of_order_and_not_skipped(world: World) -> None:
    job = await relayed(world)
    first = await exhausted(world)
    await world.advance(job, rendering(relay=True))
    await world.store.deliveries.retry(first.id, NOW)
    await world.advance(job, rendering(relay=True))
    assert await world.deliveries(job) == {2: PENDING, 3: SKIPPED, 4: PENDING}

    leased = [await lease_one(world)]
    await world.settle(leased[0])
    leased.append(await lease_one(world))

    assert {delivery.seq for delivery in leased} == {2, 4}


async def test_a_retried_delivery_waits_for_the_one_in_flight(world: World) -> None:
    job = await relayed(world)
    first = await exhausted(world)
    await world.advance(job, rendering(relay=True))
    in_flight = await lease_one(world)

    await world.store.deliveries.retry(first.id, NOW)

    assert await world.lease() == []
    await world.settle(in_flight)
    assert (await lease_one(world)).id == first.id


async def test_a_retried_delivery_is_in_order_again_after_its_attempt(world: World) -> None:
    job = await relayed(world)
    first = await exhausted(world)
    await world.store.deliveries.retry(first.id, NOW)
    await world.settle(await lease_one(world), PENDING, NOW + 5 * SECOND)

    await world.advance(job, rendering(relay=True))

    assert await world.deliveries(job) == {2: SKIPPED, 3: PENDING}


async def test_a_pending_delivery_that_is_retried_keeps_its_place(world: World) -> None:
    job = await relayed(world)
    update = await lease_one(world)
    await world.advance(job, completed(relay=True))
    (last, _), _ = await world.store.deliveries.list_page(DeliveryFilter(job_id=job.id), None, 9)

    retried = await world.store.deliveries.retry(last.id, NOW)
    assert (retried.state, retried.next_attempt_at) == (PENDING, NOW)
    assert await world.lease(at=NOW) == []
    await world.settle(update, DELIVERED)
    assert (await lease_one(world)).id == last.id
    await world.settle(last, PENDING, NOW + 60 * SECOND)
    assert (await world.store.deliveries.retry(last.id, NOW + SECOND)).step == 0
    assert (await lease_one(world, at=NOW + SECOND)).id == last.id

    with pytest.raises(NotFound):
        await world.store.deliveries.retry("msg_unknown", NOW)


async def test_many_deliveries_are_retried_by_state(world: World) -> None:
    jobs = [await relayed(world, webhook_url=f"https://h{n}.example/") for n in range(3)]
    off, failed, pending = await world.lease()
    await world.settle(off, DISABLED)
    await world.settle(failed, EXHAUSTED)
    world.notified.clear()
    every = [delivery.id for delivery in (off, failed, pending)] + ["msg_unknown"]

    assert await world.store.deliveries.retry_those(every, DISABLED, NOW + 7) == 1

    again_due = await reload(world, off)
    assert (again_due.state, again_due.next_attempt_at) == (PENDING, NOW + 7)
    assert (await reload(world, failed)).state is EXHAUSTED
    job = await world.store.jobs.find(off.job_id)
    assert job is not None
    assert not job.webhook_off
    assert Lane.DELIVER in world.notified[0].due
    assert {job.id for job in jobs} == {each.job_id for each in (off, failed, pending)}
