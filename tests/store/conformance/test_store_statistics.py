"""Reads of recent jobs and deliveries, for the statistics."""

from store.records.deliveries import Attempt, DeliveryState
from store.records.jobs import Evidence
from store.statistics import RecentAttempt, RecentJob
from tests.store.world import HOOK, NOW, SECOND, World, change, completed, rendering

DAY = 86_400_000
SINCE = NOW - DAY


async def test_recent_jobs(world: World) -> None:
    await world.create(at=SINCE - 1)
    done = await world.create(at=SINCE)
    await world.advance(done, completed(NOW), change(evidence=Evidence.CALLBACK))
    await world.create(at=SINCE + 5)
    await world.create(world.bob, at=NOW)
    statistics = world.store.statistics

    waiting = RecentJob(SINCE + 5, "PENDING", None, None)
    assert await statistics.jobs(world.ann.id, SINCE, 100) == [
        waiting,
        RecentJob(SINCE, "COMPLETED", "callback", NOW),
    ]
    assert await statistics.jobs(world.ann.id, SINCE, 1) == [waiting]
    assert len(await statistics.jobs(None, SINCE, 100)) == 3


async def test_recent_attempts(world: World) -> None:
    job = await world.create(at=NOW, webhook_url=HOOK)
    await world.advance(job, rendering(NOW, relay=True))
    (delivery,) = await world.lease(at=NOW)
    tried = Attempt(NOW, None, "connect_failed", 40, None)
    await world.settle(delivery, DeliveryState.PENDING, NOW + SECOND, made=tried)
    other = await world.create(world.bob, at=NOW, webhook_url="https://bob.example:8443/")
    await world.advance(other, completed(NOW, relay=True))
    statistics = world.store.statistics

    (found,) = await statistics.attempts(world.ann.id, SINCE, 100)
    assert found == RecentAttempt(
        delivery.id, "hooks.example:443", "pending", NOW, NOW, None, "connect_failed", 40
    )
    everybodys = await statistics.attempts(None, SINCE, 100)
    assert {(row.host, row.at) for row in everybodys} == {
        ("bob.example:8443", None),
        ("hooks.example:443", NOW),
    }
    assert len(await statistics.attempts(None, SINCE, 1)) == 1
    assert await statistics.attempts(None, NOW + DAY, 100) == []
