"""Counts of recent jobs and attempts, for the statistics."""

from store.records.deliveries import Attempt, DeliveryState
from store.records.jobs import Evidence
from store.statistics import Recent
from tests.store.world import HOOK, NOW, SECOND, World, change, completed, rendering

HOUR = 3_600_000
SINCE = NOW - 24 * HOUR


async def test_jobs_count_in_the_span_of_their_creation(world: World) -> None:
    statistics, anns = world.store.statistics, Recent(world.ann.id, SINCE, 100)
    assert await statistics.count_jobs(anns, HOUR) == []
    assert await statistics.time_jobs(anns, HOUR) == {}

    await world.create(at=SINCE - 1)
    took = [30, 10, 20, 40, *range(1_000, 1_016)]
    for milliseconds in took:
        done = await world.create(at=SINCE)
        await world.advance(
            done, completed(SINCE + milliseconds), change(evidence=Evidence.CALLBACK)
        )
    await world.create(at=SINCE + 2 * HOUR)
    await world.create(world.bob, at=NOW)

    assert sorted(await statistics.count_jobs(anns, HOUR)) == [
        (0, "COMPLETED", "callback", 20),
        (2, "PENDING", None, 1),
    ]
    nearest_rank = sorted(took)[9], sorted(took)[18]
    assert await statistics.time_jobs(anns, HOUR) == {0: nearest_rank}
    of_few = Recent(None, SINCE, 3)
    assert sum(count for *_, count in await statistics.count_jobs(of_few, HOUR)) == 22
    assert await statistics.time_jobs(of_few, HOUR) == {0: (took[-1], took[-1])}


async def test_attempts_count_in_the_span_in_which_they_were_made(world: World) -> None:
    job = await world.create(at=SINCE, webhook_url=HOOK)
    await world.advance(job, rendering(SINCE, relay=True))
    for at, status_code, state, again in (
        (SINCE, None, DeliveryState.PENDING, SINCE + SECOND),
        (SINCE + HOUR + SECOND, 500, DeliveryState.PENDING, SINCE + 2 * HOUR),
        (SINCE + 2 * HOUR, 204, DeliveryState.DELIVERED, None),
    ):
        (delivery,) = await world.lease(at=at)
        made = Attempt(at, status_code, None, 40, None)
        await world.settle(delivery, state, again, made=made)
    other = await world.create(world.bob, at=NOW, webhook_url="https://bob.example:8443/")
    await world.advance(other, completed(NOW, relay=True))
    statistics = world.store.statistics

    anns = await statistics.count_attempts(Recent(world.ann.id, SINCE, 100), HOUR)
    assert sorted(anns, key=str) == [(0, 1, 0), (1, 1, 0), (2, 1, 1)]
    everybodys = await statistics.count_attempts(Recent(None, SINCE, 100), HOUR)
    assert sorted(everybodys, key=str) == [(0, 1, 0), (1, 1, 0), (2, 1, 1), (None, 1, 0)]
