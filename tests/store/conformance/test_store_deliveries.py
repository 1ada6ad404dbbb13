"""`Outbox.lease` and `settle`: sending what is in the outbox."""

from dataclasses import replace

from store.deliveries import DeliveryFilter
from store.records.times import Lane
from tests.store.outbox import DELIVERED, EXHAUSTED, PENDING, lease_one, relayed, reload
from tests.store.world import HOOK, NOW, SECOND, World, attempt


async def test_a_message_is_sent_until_an_attempt_succeeds(world: World) -> None:
    job = await relayed(world)
    delivery = await lease_one(world)
    assert delivery.id.startswith("msg_")
    assert (delivery.job_id, delivery.user_id, delivery.seq) == (job.id, job.user_id, 2)
    assert (delivery.state, delivery.step, delivery.attempts) == (PENDING, 0, ())
    assert (delivery.url, delivery.created_at, delivery.next_attempt_at) == (HOOK, NOW, NOW)

    await world.settle(delivery, PENDING, NOW + 5 * SECOND)
    assert await world.lease(at=NOW + 5 * SECOND - 1) == []
    delivery = await lease_one(world, at=NOW + 5 * SECOND)
    assert (delivery.step, delivery.attempts) == (1, (attempt(),))
    world.notified.clear()
    assert await world.settle(delivery)

    settled = await reload(world, delivery)
    assert (settled.state, settled.step, settled.attempts) == (DELIVERED, 2, (attempt(),) * 2)
    assert (settled.next_attempt_at, settled.delivered_at) == (None, NOW + 12)
    assert await world.lease(at=NOW + 999 * SECOND) == []
    assert Lane.DELIVER in world.notified[0].due, "the next message of its job may go"


async def test_a_host_is_a_name_and_a_port(world: World) -> None:
    hosts = {
        "https://Hooks.Example./in?x=1": "hooks.example:443",
        "https://a.example:8443/x": "a.example:8443",
        "http://a.example/x": "a.example:80",
        "https://[2001:DB8::1]/x": "2001:db8::1:443",
        "https://[2001:db8:0:0::1]/x": "2001:db8::1:443",
        "https://[2001:db8::0.0.0.1]/x": "2001:db8::1:443",
    }
    for url in hosts:
        await relayed(world, webhook_url=url)
    found, _ = await world.store.deliveries.list_page(DeliveryFilter(), None, 9)
    assert {delivery.url: delivery.host for delivery in found} == hosts


async def test_the_last_fifty_attempts_are_kept(world: World) -> None:
    await relayed(world)
    delivery = await lease_one(world)
    for number in range(52):
        made = replace(attempt(), duration_ms=number)
        await world.settle(delivery, EXHAUSTED, made=made)
        await world.store.outbox.retry(delivery.id, NOW)
        delivery = await lease_one(world)

    settled = await reload(world, delivery)
    assert [made.duration_ms for made in settled.attempts] == list(range(2, 52))


async def test_a_holder_that_lost_its_lease_cannot_write_the_state(world: World) -> None:
    await relayed(world)
    delivery = await lease_one(world, until=NOW + SECOND)
    assert await world.lease("you", at=NOW + SECOND - 1) == []
    assert (await lease_one(world, holder="you", at=NOW + SECOND)).id == delivery.id

    assert not await world.settle(delivery, DELIVERED)

    assert (await reload(world, delivery)).state is PENDING
    assert len((await reload(world, delivery)).attempts) == 1
    assert await world.settle(delivery, DELIVERED, holder="you")
    assert len((await reload(world, delivery)).attempts) == 2
    removed = replace(delivery, id="msg_unknown")
    assert not await world.settle(removed, DELIVERED)


async def test_a_released_message_is_due_as_before(world: World) -> None:
    await relayed(world)
    delivery = await lease_one(world)
    await world.store.outbox.release("you")
    assert await world.lease("you") == []

    await world.store.outbox.release("me")
    assert await world.lease("gone") == [delivery]
    await world.store.end_leases()
    assert [leased.id for leased in await world.lease()] == [delivery.id]
