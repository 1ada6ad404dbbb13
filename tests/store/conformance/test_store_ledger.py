"""What jobs cost, kept beside them, and budgets."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from store.errors import BudgetExceeded, KeyReused, NoPrice, NotFound
from store.idempotency import IdempotencyKey, Replay
from store.keys import User
from store.ledger import MONTH, SpendFilter, SpendKey
from store.records.costs import Budget, Cost, CostState, plain
from store.records.jobs import Job
from store.records.times import Millis
from store.records.transitions import Transition
from tests.store.world import NOW, World, completed, event_data, new

DAY: Millis = 86_400_000
HUGE = "123456789012345678901234567890.000000000000000000000001"


def cost(amount: str, currency: str = "USD", **rates: str) -> Cost:
    prices = {name: Decimal(rate) for name, rate in rates.items()}
    return Cost(Decimal(amount), currency, CostState.RESERVED, Decimal(amount), prices)


async def settle(world: World, job: Job, state: CostState, amount: str) -> Job:
    def decide(before: Job) -> Transition:
        assert before.cost is not None
        done = completed()(before)
        assert done is not None
        after = replace(before.cost, state=state, amount=Decimal(amount))
        ended = done.job.changed(cost=after)
        return Transition(ended, event_data(ended), cost=after)

    return await world.advance(job, decide)


async def spend(world: World, by: SpendKey = "provider", **where: Any) -> Any:
    given = {"user_id": world.ann.id, "currency": "USD", **where}
    rows = await world.store.ledger.spend(by, SpendFilter(**given))
    return [(key, jobs, *map(plain, sums)) for key, _, jobs, *sums in rows]


async def spent(world: World, user: User | None = None, at: Millis = NOW) -> Decimal:
    """What the budget has counted: the refusal of a job over any budget says it."""
    with pytest.raises(BudgetExceeded) as refused:
        await world.create(user, at, cost=cost("9" * 12))
    return refused.value.spent


async def test_a_cost_is_stored_with_its_job_and_read_with_it(world: World) -> None:
    job = await world.create(cost=cost(HUGE, predict_time="0.0011"))
    assert (await world.find(job)).cost == cost(HUGE, predict_time="0.0011")

    done = await settle(world, job, CostState.SETTLED, "0.000000000000000000000001")
    assert (await world.find(job)) == done
    assert (await world.find(await world.create())).cost is None


async def test_spend_sums_exactly_by_key_and_state(world: World) -> None:
    big = await world.create(cost=cost(HUGE), metadata={"order": "7", "a": "b"})
    await world.create(cost=cost("0.1"), kind="other", metadata={"order": "7"}, at=NOW + DAY)
    for state in (CostState.SETTLED, CostState.UNKNOWN, CostState.RELEASED):
        job = await world.create(cost=cost("0.2"), provider="fal")
        await settle(world, job, state, "0" if state is CostState.RELEASED else "0.3")
    await world.create(cost=cost("7", "EUR"))
    await world.create(world.bob, cost=cost("5"))
    await world.create()

    fal, samsar = ("fal", 3, "0", "0.3", "0.3"), ("samsar", 2, _plus(HUGE, "0.1"), "0", "0")
    assert await spend(world) == [fal, samsar]
    assert [row[:2] for row in await spend(world, "kind")] == [("create_movie", 4), ("other", 1)]
    days = [NOW // DAY, NOW // DAY + 1]
    assert [row[:2] for row in await spend(world, "day")] == [(days[0], 4), (days[1], 1)]
    everybody = await spend(world, "user", user_id=None)
    assert [row[:2] for row in everybody] == [("ann", 5), ("bob", 1)]
    assert await spend(world, currency="EUR") == [("samsar", 1, "7", "0", "0")]
    rows = await world.store.ledger.spend("day", SpendFilter(world.ann.id, "USD"), "provider")
    split = [(row.key, row.split, row.jobs, plain(row.unknown)) for row in rows]
    today, tomorrow = days
    assert split == [
        (today, "fal", 3, "0.3"),
        (today, "samsar", 1, "0"),
        (tomorrow, "samsar", 1, "0"),
    ]
    one = [("samsar", 1, HUGE, "0", "0")]
    assert await spend(world, metadata={"a": "b", "order": "7"}) == one
    assert await spend(world, metadata={"order": "8"}) == []
    assert await spend(world, created_after=NOW) == [("samsar", 1, "0.1", "0", "0")]
    assert await spend(world, created_before=NOW) == []

    await settle(world, big, CostState.SETTLED, HUGE)
    await world.remove_finished()
    assert (await spend(world))[1] == ("samsar", 2, "0.1", HUGE, "0")


async def test_spend_of_more_than_a_month_is_the_sum_of_all(world: World) -> None:
    times = [NOW + offset for offset in (0, MONTH - 1, MONTH, 2 * MONTH, 13 * MONTH)]
    for at in times:
        await world.create(cost=cost("0.1"), at=at)
    assert await spend(world) == [("samsar", 5, "0.5", "0", "0")]
    inner: dict[str, Any] = {"created_after": times[0], "created_before": times[-1]}
    assert await spend(world, **inner) == [("samsar", 3, "0.3", "0", "0")]
    assert [jobs for _, jobs, *_ in await spend(world, "day")] == [1, 2, 1, 1]
    assert await spend(world, created_after=times[-1]) == []


async def test_an_entry_outlives_its_job_and_is_removed_when_it_is_old(world: World) -> None:
    gone, kept = [await world.create(cost=cost("1"), at=NOW - DAY) for _ in range(2)]
    await settle(world, gone, CostState.SETTLED, "1")
    await world.remove_finished()
    for before, removed in ((NOW - DAY, 0), (NOW, 1), (NOW, 0)):
        assert await world.store.ledger.remove_old(before, 100) == removed
    assert await spend(world) == [("samsar", 1, "1", "0", "0")]
    assert (await world.find(kept)).cost == cost("1")


async def test_how_budgets_stand(world: World) -> None:
    ledger = world.store.ledger
    await ledger.set_budget("ann", Budget.read("1/day"), NOW)
    await ledger.set_budget("bob", Budget.read("2/month"), NOW)
    await world.create(cost=cost("0.6"))
    ends = Budget.read("1/day").period_at(NOW)[1]

    (ann,) = await ledger.standings(world.ann.id, "USD", NOW)
    assert (ann.user, ann.budget.text, ann.spent, ann.resets_at) == (
        *("ann", "1/day", Decimal("0.6")),
        ends,
    )
    everybody = await ledger.standings(None, "USD", NOW)
    assert [(each.user, each.spent) for each in everybody] == [("ann", ann.spent), ("bob", 0)]
    for currency, at in (("USD", ends), ("EUR", NOW)):  # the next period, another currency
        (later,) = await ledger.standings(world.ann.id, currency, at)
        assert later.spent == 0
    # Another currency's jobs were counted since.
    await world.create(cost=cost("0.1", "EUR"))
    assert await ledger.standings(world.ann.id, "USD", NOW) == [ann]


async def test_a_submission_over_the_budget_leaves_nothing(world: World) -> None:
    key = IdempotencyKey("/v1/jobs", "once", "same", NOW, NOW + 1_000, NOW + DAY)
    await world.store.ledger.set_budget("ann", Budget.read("1/day"), NOW)
    job = world.job(cost=cost("0.6"))
    assert await world.store.jobs.create(new(job), key) == job
    over = world.job(cost=cost("0.400000000000000000000000000001"))
    other = key._replace(key="other")
    with pytest.raises(BudgetExceeded) as refused:
        await world.store.jobs.create(new(over), other)

    error = refused.value
    assert (error.budget.text, error.spent, error.resets_at) == (
        "1/day",
        Decimal("0.6"),
        NOW - NOW % DAY + DAY,
    )
    assert await world.store.jobs.find(over.id) is None
    assert await world.store.idempotency.find(world.ann.id, other) is None
    again = key._replace(sent_at=NOW + 2_000)
    assert isinstance(await world.store.jobs.create(new(over), again), Replay)
    with pytest.raises(KeyReused):
        await world.store.jobs.create(new(over), again._replace(fingerprint="another"))
    await world.create(cost=cost("0.4"))  # reaching it is not over it
    await world.create(cost=cost("0"))
    await world.create(world.bob, cost=cost("100"))
    with pytest.raises(NoPrice):
        await world.create()


async def test_each_period_and_each_currency_begins_at_zero(world: World) -> None:
    await world.create(cost=cost("0.5"))
    await world.create(cost=cost("0.5"), at=NOW - DAY)
    await world.store.ledger.set_budget("ann", Budget.read("1/day"), NOW)
    assert await spent(world) == Decimal("0.5")
    await world.create(cost=cost("0.5"))
    await world.create(cost=cost("0.7"), at=NOW + DAY)
    assert await spent(world, at=NOW + DAY) == Decimal("0.7")
    assert await spent(world) == 1
    await world.create(cost=cost("0.2", "EUR"))
    assert await spent(world) == 1

    await world.store.ledger.set_budget("ann", Budget.read("2/month"), NOW)
    assert await spent(world) == Decimal("2.2")
    with pytest.raises(BudgetExceeded):
        await world.create(cost=cost("0.01"))
    assert await world.store.ledger.list_budgets() == [("ann", "2/month")]
    await world.store.ledger.set_budget("ann", None, NOW)
    await world.create(cost=cost("100"))
    assert await world.store.ledger.list_budgets() == []
    with pytest.raises(NotFound):
        await world.store.ledger.set_budget("nobody", None, NOW)


async def test_what_becomes_of_a_cost_counts_in_the_period_of_its_creation(world: World) -> None:
    await world.store.ledger.set_budget("ann", Budget.read("1/day"), NOW)
    old = await world.create(cost=cost("0.1"), at=NOW - DAY)
    foreign = await world.create(cost=cost("0.3", "EUR"))
    jobs = [await world.create(cost=cost("0.3")) for _ in range(3)]
    for job, (state, amount) in zip(
        [*jobs, old, foreign],
        [
            (CostState.RELEASED, "0"),
            (CostState.UNKNOWN, "0.3"),
            (CostState.SETTLED, "0.5"),
            (CostState.SETTLED, "50"),
            (CostState.SETTLED, "70"),
        ],
        strict=True,
    ):
        await settle(world, job, state, amount)
    assert await spent(world) == Decimal("0.8")
    await settle(world, jobs[0], CostState.SETTLED, "2")  # a correction; over it, nothing stops
    assert await spent(world) == Decimal("2.8")
    await world.create(cost=cost("0"))
    with pytest.raises(BudgetExceeded):
        await world.create(cost=cost("0.000000000001"))
    await world.store.ledger.set_budget("ann", Budget.read("0/day"), NOW)
    await world.create(cost=cost("0"))


async def test_a_budget_holds_for_many_submissions_at_once(world: World) -> None:
    await world.store.ledger.set_budget("ann", Budget.read("1/day"), NOW)

    tried = await asyncio.gather(
        *(world.create(cost=cost("0.15")) for _ in range(50)), return_exceptions=True
    )

    assert sum(isinstance(each, Job) for each in tried) == 6
    assert sum(isinstance(each, BudgetExceeded) for each in tried) == 44
    assert await spend(world) == [("samsar", 6, "0.9", "0", "0")]
    assert await spent(world) == Decimal("0.9")


def _plus(one: str, other: str) -> str:
    whole, fraction = one.split(".")
    assert fraction.startswith("0")
    return f"{whole}.{other[2]}{fraction[1:]}"
