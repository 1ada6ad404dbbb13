"""Recent jobs and deliveries, for statistics: one narrow row each."""

from typing import NamedTuple

from store.ids import first_id
from store.records.times import Millis
from store.repository import Repository, user_condition


class RecentJob(NamedTuple):
    """The state of a job; `status` and `evidence` are values of the enums in
    `store.records.jobs`."""

    created_at: Millis
    status: str
    evidence: str | None
    done_at: Millis | None


class RecentAttempt(NamedTuple):
    """An attempt of a delivery, or a delivery without one: then the last four are None."""

    delivery_id: str
    host: str
    """Name and port."""
    state: str
    created_at: Millis
    """The delivery's."""
    at: Millis | None
    status_code: int | None
    error: str | None
    duration_ms: Millis | None


class Statistics(Repository):
    """Reads recent rows. `limit` bounds the cost, however much is stored."""

    subject = "statistics"

    async def jobs(self, user_id: int | None, since: Millis, limit: int) -> list[RecentJob]:
        """The newest `limit` jobs created since `since`, of one user or (None) of all."""
        first = first_id("job", since)
        given = {"user_id": user_id, "first": first, "limit": limit}
        rows = await self._fetch("recent-jobs", user_condition(user_id), **given)
        return [RecentJob(*row) for row in rows]

    async def attempts(self, user_id: int | None, since: Millis, limit: int) -> list[RecentAttempt]:
        """The attempts of the newest `limit` deliveries created since `since`, at most `2 * limit`
        rows. A delivery without attempts is one row."""
        first = first_id("msg", since)
        given = {"user_id": user_id, "first": first, "limit": limit, "attempts": 2 * limit}
        rows = await self._fetch("recent-attempts", user_condition(user_id), **given)
        return [RecentAttempt(*row) for row in rows]
