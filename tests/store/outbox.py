"""Messages in a store's outbox."""

from store.records.deliveries import Delivery, DeliveryState
from store.records.jobs import Job
from tests.store.world import HOOK, World, rendering

PENDING, DELIVERED, SKIPPED, EXHAUSTED, DISABLED = DeliveryState


async def relayed(world: World, **fields: object) -> Job:
    """A job with one update in the outbox."""
    job = await world.create(**{"webhook_url": HOOK, **fields})  # type: ignore[arg-type]  # any
    return await world.advance(job, rendering(relay=True))


async def lease_one(world: World, **limits: object) -> Delivery:
    (delivery,) = await world.lease(**limits)  # type: ignore[arg-type]  # whatever lease takes
    return delivery


async def reload(world: World, delivery: Delivery) -> Delivery:
    found = await world.store.deliveries.find(delivery.id)
    assert found is not None
    return found
