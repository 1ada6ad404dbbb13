"""Variants that count money wrongly."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from receiver.domain import outcomes
from store.errors import BudgetExceeded
from store.jobs import Jobs
from store.ledger import Ledger
from store.records.costs import EXACT, ZERO, Cost, CostState
from store.records.jobs import ErrorCode, JobError
from store.records.transitions import NewJob
from tests.simulation.known_bad import plans
from tests.simulation.known_bad.variant import Patch, instead_of, together, variant
from tests.simulation.money import BUDGET


@variant("a cost changes with an end alone", first=1)
@instead_of(outcomes, "apply_progress")
def cost_of_a_poll(apply: Any, draft: Any, *given: Any) -> None:
    """Each progress adds to the cost."""
    apply(draft, *given)
    cost = draft.job.cost
    draft.set(cost=replace(cost, amount=EXACT.add(cost.amount, cost.reserved)))


@variant("the ledger equals the invoice", "what is unknown keeps its amount", first=9)
@instead_of(outcomes, "_settled")
def settled_twice_by_a_correction(settled: Any, cost: Cost, *given: Any) -> Cost:
    """A correction adds to what the failure before it had kept."""
    after: Cost = settled(cost, *given)
    again = cost.state is not CostState.RESERVED
    return replace(after, amount=EXACT.add(after.amount, cost.amount)) if again else after


@variant("the ledger equals the invoice", first=5)
@instead_of(outcomes, "_settled")
def released_by_a_cancel(settled: Any, cost: Cost, error: JobError | None, *given: Any) -> Cost:
    """A cancelled job costs nothing, although the provider may have it."""
    after: Cost = settled(cost, error, *given)
    cancelled = error is not None and error.code is ErrorCode.CANCELED_BY_USER
    return replace(after, state=CostState.RELEASED, amount=ZERO) if cancelled else after


@variant("a budget is kept", plan=plans.more_at_once_than_a_budget_allows)
def checked_before_the_transaction() -> Patch:
    """The budget is checked, and then the job is written: others come in between."""

    @instead_of(Jobs, "create")
    async def create(right: Any, self: Jobs, new: NewJob, *given: Any, **named: Any) -> Any:
        spent = "SELECT spent FROM budgets WHERE user_id = :user_id"
        whose = {"user_id": new.job.user_id}
        row = await self._writer.urgent(lambda db, _: db.execute(spent, whose).fetchone())
        if row is not None and new.job.cost is not None:
            before = Decimal(row[0] or 0)
            if before + new.job.cost.amount > BUDGET.amount:
                raise BudgetExceeded(BUDGET, before, 0)
        return await right(self, new, *given, **named)

    @instead_of(Ledger, "_check_budget")
    def only_counted(right: Any, self: Ledger, db: Any, job: Any, _: str, *counted: Any) -> None:
        right(self, db, job, "999999999999/month", *counted)

    return together(create(), only_counted())
