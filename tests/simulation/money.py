"""Money: the price list and the budget of the simulation, and what has to be true of them."""

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from receiver.config.price_file import parse_prices
from store.records.costs import Budget

if TYPE_CHECKING:
    from tests.simulation.world import World

PRICES: Final = parse_prices(
    """
currency = "USD"

[[price]]
provider = "samsar"
kind = "create_*"
fixed = "0.1"
per = { fate = "0.00000000001" }
""",
    {"samsar": ""},
)
LIMITED: Final = 1
"""The number of the user who has a budget."""
BUDGET: Final = Budget.read("1.3/month")
"""Random schedules hardly reach it; `plans.more_at_once_than_a_budget_allows` does."""


def cost_of(fate: int) -> Decimal:
    """What a job with this fate costs."""
    cost = PRICES.reserve("samsar", "create_movie", {"fate": fate})
    assert cost is not None
    return cost.amount


def check_event(world: "World", before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Only its end changes what a job costs, and the correction of its end."""
    costs, require = (before["cost"], after["cost"]), world.judge.require
    changed = (before["done"], before["error"]) != (after["done"], after["error"])
    require(costs[0] == costs[1] or (after["done"] and changed), "a cost changes with an end alone",
            after["request_id"], *costs)  # fmt: skip
    require((after["cost"]["state"] == "reserved") != after["done"], "an end says what it costs",
            after["request_id"], after["cost"])  # fmt: skip


def check_budgets(world: "World") -> None:
    """What is counted for a budget is the sum of the period's jobs, and at most the budget."""
    require = world.judge.require
    for user_id, starts, spent in world.truth.db.execute(
        "SELECT user_id, starts, spent FROM budgets WHERE starts IS NOT NULL"
    ).fetchall():
        ends = BUDGET.period_at(starts)[1]
        amounts = world.truth.db.execute(
            "SELECT amount FROM ledger WHERE user_id = ? AND created_at >= ? AND created_at < ?",
            (user_id, starts, ends),
        )
        total = sum((Decimal(amount) for (amount,) in amounts), Decimal(0))
        require(total <= BUDGET.amount, "a budget is kept", total)
        require(Decimal(spent) == total, "a budget counts each job once", spent, total)


def check_refusal(world: "World", fate: int, problem: Mapping[str, Any]) -> None:
    """A submission is refused if it would exceed the budget."""
    over = Decimal(problem["spent"]) + cost_of(fate) > BUDGET.amount
    world.judge.require(problem["budget"] == BUDGET.text and over, "a refusal is of the budget",
                        problem)  # fmt: skip


def check_end(world: "World") -> None:
    """The ledger equals the provider's invoice, and what differs is exactly what is unknown."""
    require, invoice = world.judge.require, defaultdict[str, Decimal](Decimal)
    for upstream in world.provider.by_id.values():
        invoice[upstream.job_id] += cost_of(upstream.fate_seed)
    rows = world.truth.db.execute("SELECT job_id, state, amount, reserved FROM ledger").fetchall()
    require({job_id for job_id, *_ in rows} == world.truth.jobs.keys(), "each job has its cost")
    for job_id, state, amount, reserved in rows:
        match state:
            case "settled" | "released":
                require(Decimal(amount) == invoice[job_id], "the ledger equals the invoice", job_id,
                        state, amount, invoice[job_id])  # fmt: skip
            case "unknown":
                require(amount == reserved, "what is unknown keeps its amount", job_id, amount)
            case _:
                world.judge.fail("an end says what it costs", job_id, state)
