"""Retention: it works in small batches, and removes nothing while the clock is not trusted."""

from receiver.domain.schedule import DAY
from receiver.engine.janitor import Janitor
from store.ledger import SpendFilter
from store.records.costs import ZERO, Cost, CostState
from tests.engine.harness import Harness
from tests.store.world import NOW, completed


async def test_a_clock_set_years_ahead_removes_nothing(harness: Harness) -> None:
    clock, world = harness.clock, harness.world
    keeper = Janitor(harness.services, retention=30 * DAY)
    old = await world.advance(await world.create(), completed(NOW - 31 * DAY))
    job = await world.advance(await world.create(), completed(NOW))
    assert await keeper.run_once() == 1
    assert await harness.store.jobs.find(old.id) is None

    clock.wall_start += 3_650 * DAY
    for _ in range(3 * 60):
        clock.advance(60)
        assert await keeper.run_once() == 0
    sample, paused = harness.services.metrics.registry.get_sample_value, "receiver_retention_paused"
    assert sample(paused) == 1
    assert await harness.find(job) == job

    clock.wall_start -= 3_650 * DAY
    assert await keeper.run_once() == 0
    assert sample(paused) == 0
    clock.advance(30 * DAY / 1_000)
    assert await keeper.run_once() == 1


async def test_a_cost_outlives_its_job_for_400_days(harness: Harness) -> None:
    clock, world = harness.clock, harness.world
    keeper = Janitor(harness.services, retention=30 * DAY)
    cost = Cost(ZERO, "USD", CostState.RESERVED, ZERO, {})
    await world.advance(await world.create(cost=cost), completed(NOW))
    open_job = await world.create(cost=cost)

    async def entries() -> int:
        rows = await harness.store.ledger.spend("day", SpendFilter(world.ann.id, "USD"))
        return sum(row.jobs for row in rows)

    counts = []
    for days in (31, 368, 2):  # 31, 399 and 401 days after the creation
        for _ in range(days):
            clock.advance(DAY / 1_000)
            await keeper.run_once()
        counts.append(await entries())
    assert counts == [2, 2, 1]
    assert await harness.find(open_job) == open_job
