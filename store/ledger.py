"""What jobs cost, by job: it outlives the jobs. And the budgets of users.

Within a transaction, a budget is read and counted while its user's log is locked, so that each
submission sees what all earlier ones have reserved. A row keeps what was spent in the present
period: only the first submission of a period adds up entries, those of the period so far.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal, NamedTuple, TypeAlias

from store.changes import CommitNotice
from store.errors import BudgetExceeded, NoPrice, NotFound
from store.records.costs import EXACT, ZERO, Budget, Cost, plain
from store.records.jobs import Job
from store.records.times import Millis
from store.repository import Repository, user_condition
from store.rows import job_to_row, rates_to_json, to_json
from store.session import Session

SpendKey: TypeAlias = Literal["day", "kind", "provider", "user"]
SplitKey: TypeAlias = Literal["kind", "provider", "user"]

SPEND_KEYS: Final[Mapping[SpendKey, str]] = {
    "day": "created_at / 86400000",
    "kind": "kind",
    "provider": "provider",
    "user": "(SELECT name FROM users WHERE users.id = ledger.user_id)",
}
SPLIT_KEYS: Final[Mapping[SplitKey, str]] = {
    "kind": SPEND_KEYS["kind"],
    "provider": SPEND_KEYS["provider"],
    "user": SPEND_KEYS["user"],
}
_ENDLESS: Final[Millis] = 2**62
MONTH: Final[Millis] = 31 * 86_400_000


class Spend(NamedTuple):
    """The sums of some jobs."""

    key: str | int
    """A name, or the number of a day since 1970."""
    split: str | None
    """Which of these jobs: a name, if it was asked for."""
    jobs: int
    reserved: Decimal
    settled: Decimal
    unknown: Decimal


@dataclass(frozen=True, slots=True)
class SpendFilter:
    """Which jobs are summed. Both times are exclusive."""

    user_id: int | None
    """None: those of all users."""
    currency: str
    created_after: Millis | None = None
    created_before: Millis | None = None
    metadata: Mapping[str, str] | None = None


class Standing(NamedTuple):
    """A user's budget, and what was spent of it in the present period."""

    user: str
    budget: Budget
    spent: Decimal
    resets_at: Millis


class Ledger(Repository):
    subject = "ledger"

    async def spend(
        self, by: SpendKey, where: SpendFilter, split: SplitKey | None = None
    ) -> list[Spend]:
        """The sums of the jobs with a price, by key and perhaps by another one. It reads one entry
        for each job, a month's at a time: other reads would wait for those of years."""
        whose = user_condition(where.user_id)
        user_id, metadata = where.user_id, to_json(where.metadata or {})
        after = -1 if where.created_after is None else where.created_after
        before = _ENDLESS if where.created_before is None else where.created_before
        bounds = {"user_id": user_id, "created_after": after, "created_before": before}
        ((first, last),) = await self._fetch("first-and-last", whose, **bounds)
        sums: dict[tuple[str | int, str | None], Spend] = {}
        while None not in (first, last) and first <= last:
            ends = min(first + MONTH, last + 1)
            period = {"user_id": user_id, "starts": first, "ends": ends}
            for key, part, jobs, *amounts in await self._fetch(
                "spend",
                spend_parts(by, split, where.user_id),
                currency=where.currency,
                metadata=metadata,
                **period,
            ):
                earlier = sums.get((key, part), Spend(key, part, 0, ZERO, ZERO, ZERO))
                added = map(EXACT.add, earlier[3:], map(Decimal, amounts))
                sums[key, part] = Spend(key, part, earlier.jobs + jobs, *added)
            first = ends
        return sorted(sums.values())

    async def set_budget(self, user: str, budget: Budget | None, now: Millis) -> None:
        """Set or remove a user's budget. Raises `NotFound`."""

        def work(db: Session, _: CommitNotice) -> None:
            if (row := db.execute(self._sql["lock-user"], {"user": user}).fetchone()) is None:
                raise NotFound(user)
            whose = {"user_id": row[0]}
            if budget is None:
                db.execute(self._sql["remove-budget"], whose)
                return
            # Counted here, once: it can be many jobs, and a submission that is refused keeps
            # nothing.
            newest = db.execute(self._sql["newest-currency"], whose).fetchone()
            currency, (starts, ends) = newest and newest[0], budget.period_at(now)
            spent = self._add_up(db, row[0], currency, starts, ends)
            counted = {"currency": currency, "starts": starts, "spent": plain(spent)}
            db.execute(self._sql["set-budget"], whose | counted | {"budget": budget.text})

        await self._writer.normal(work)

    async def list_budgets(self) -> list[tuple[str, str]]:
        """Users and the texts of their budgets, by user."""
        rows = await self._fetch("list-budgets", user_condition(None))
        return [(user, budget) for _, user, budget, *_ in rows]

    async def standings(self, user_id: int | None, currency: str, now: Millis) -> list[Standing]:
        """How the budget of this user stands, or all of them, by user."""
        found = []
        rows = await self._fetch("list-budgets", user_condition(user_id), user_id=user_id)
        for owner, user, text, counted, starts, spent in rows:
            budget = Budget.read(text)
            first, end = budget.period_at(now)
            if (counted, starts) != (currency, first):
                period = {"currency": currency, "starts": first, "ends": end}
                spent = await self._fetch_value("spent-since", user_id=owner, **period)
            found.append(Standing(user, budget, Decimal(spent), end))
        return found

    async def remove_old(self, created_before: Millis, limit: int) -> int:
        """Remove old entries whose jobs are gone; returns how many."""
        old = {"created_before": created_before, "limit": limit}
        return await self._writer.normal(
            lambda db, _: db.execute(self._sql["remove-old"], old).rowcount
        )

    # --- within a transaction that has locked the user's log ------------------------------------

    def reserve(self, db: Session, job: Job) -> None:
        """Enter the cost of a new job. Raises `BudgetExceeded`, and `NoPrice` if the user has a
        budget but the job no price."""
        whose = {"user_id": job.user_id}
        if (row := db.execute(self._sql["read-budget"], whose).fetchone()) is not None:
            self._check_budget(db, job, *row)
        if job.cost is not None:
            values = job_to_row(job) | cost_to_row(job.cost)
            db.execute(self._sql["enter"], values | {"job_id": job.id})

    def settle(self, db: Session, job: Job, before: Cost, after: Cost) -> None:
        """Change the entry of a job, and count the difference in its user's budget."""
        db.execute(self._sql["settle"], {"job_id": job.id, **cost_to_row(after)})
        change = EXACT.subtract(after.amount, before.amount)
        row = change and db.execute(self._sql["read-budget"], {"user_id": job.user_id}).fetchone()
        if not row:
            return
        text, currency, starts, spent = row
        if currency == after.currency:
            counted = Budget.read(text).period_at(starts)
            if counted[0] <= job.created_at < counted[1]:
                self._count(db, job, after.currency, starts, EXACT.add(Decimal(spent), change))

    def _check_budget(
        self,
        db: Session,
        job: Job,
        text: str,
        currency: str | None,
        starts: Millis | None,
        spent: str | Decimal,
    ) -> None:
        if job.cost is None:
            raise NoPrice(job.user)
        budget, cost = Budget.read(text), job.cost
        period = budget.period_at(job.created_at)
        if (currency, starts) == (cost.currency, period[0]):
            before = Decimal(spent)
        else:
            before = self._add_up(db, job.user_id, cost.currency, *period)
        after = EXACT.add(before, cost.amount)
        if cost.amount > 0 and after > budget.amount:
            raise BudgetExceeded(budget, before, period[1])
        self._count(db, job, cost.currency, period[0], after)

    def _add_up(
        self, db: Session, user_id: int, currency: str | None, starts: Millis, ends: Millis
    ) -> Decimal:
        whose = {"user_id": user_id, "currency": currency}
        row = db.execute(self._sql["spent-since"], whose | {"starts": starts, "ends": ends})
        return Decimal(row.fetchone()[0])

    def _count(self, db: Session, job: Job, currency: str, starts: Millis, spent: Decimal) -> None:
        counted = {"currency": currency, "starts": starts, "spent": plain(spent)}
        db.execute(self._sql["count-spent"], counted | {"user_id": job.user_id})


def spend_parts(by: SpendKey, split: SplitKey | None, user_id: int | None) -> Mapping[str, str]:
    """The parts that complete the query for spend."""
    divided = "CAST(NULL AS text)" if split is None else SPLIT_KEYS[split]
    return {**user_condition(user_id), "key": SPEND_KEYS[by], "split": divided}


def cost_to_row(cost: Cost) -> dict[str, object]:
    """The values of an entry that a cost has, by column."""
    return {
        "currency": cost.currency,
        "state": cost.state.value,
        "amount": plain(cost.amount),
        "reserved": plain(cost.reserved),
        "rates": rates_to_json(cost.rates),
    }
