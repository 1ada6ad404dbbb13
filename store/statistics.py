"""Counts of recent jobs and attempts, for statistics."""

from dataclasses import dataclass
from typing import Any

from store.ids import first_id
from store.records.times import Millis
from store.repository import Repository, user_condition


@dataclass(frozen=True, slots=True)
class Recent:
    """What to count: jobs, or deliveries, created since `since`, of one user or (None) of all.
    Times are those of the newest `limit` jobs, since ranking costs more than counting."""

    user_id: int | None
    since: Millis
    limit: int


class Statistics(Repository):
    """Counts by spans of time, which are numbered from 0 at `since`. The clock may have been set
    back, so there can be spans in the future."""

    subject = "statistics"

    async def count_jobs(
        self, recent: Recent, span: Millis
    ) -> list[tuple[int, str, str | None, int]]:
        """Span of creation, status, evidence (None if the job is not done), and number of jobs."""
        return await self._read("count-jobs", "job", recent, span)

    async def time_jobs(self, recent: Recent, span: Millis) -> dict[int, tuple[Millis, Millis]]:
        """By span of creation, the median and the 95th percentile from creation to completion."""
        rows = await self._read("time-jobs", "job", recent, span)
        return {n: (median, p95) for n, median, p95 in rows}

    async def count_attempts(
        self, recent: Recent, span: Millis
    ) -> list[tuple[int | None, int, int]]:
        """Span of the attempt, number of attempts, and number of those that were answered with 2xx.
        The span None has the number of deliveries without an attempt."""
        return await self._read("count-attempts", "msg", recent, span)

    async def _read(self, query: str, kind: str, recent: Recent, span: Millis) -> list[Any]:
        return await self._fetch(
            query,
            user_condition(recent.user_id),
            user_id=recent.user_id,
            since=recent.since,
            span=span,
            first=first_id(kind, recent.since),
            limit=recent.limit,
        )
