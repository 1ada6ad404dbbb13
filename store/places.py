"""Jobs that wait for a place at a provider. `DueJobs` decides which one gets it."""

import json
from typing import NamedTuple

from store.records.jobs import Job
from store.repository import Repository


class UsersJobs(NamedTuple):
    """A user's unfinished jobs at a provider."""

    provider: str
    user_id: int
    user: str
    in_flight: int
    waiting: int


class Places(Repository):
    subject = "places"

    async def in_flight(self, provider: str) -> int:
        """How many jobs are in flight at a provider."""
        ((count, _),) = await self._fetch("count-in-flight", provider=provider)
        return int(count or 0)

    async def by_user(self) -> list[UsersJobs]:
        """The unfinished jobs by provider and user, first of the users with the most waiting."""
        return [UsersJobs(*row) for row in await self._fetch("count-by-user")]

    async def ahead(self, job: Job, *, batch: bool = False, by_priority: bool) -> int:
        """How many jobs of the same user wait at the same provider and go before this one:
        `by_priority` normal before batch, then the oldest first. `batch` is the priority of a job
        that is not stored yet."""
        count = await self._fetch_value(
            "count-ahead",
            job_id=job.id,
            user_id=job.user_id,
            provider=job.provider,
            created_at=job.created_at,
            batch=int(batch),
            by_priority=by_priority,
        )
        return int(count or 0)

    async def last_reason(self, job_id: str) -> str | None:
        """What the last attempt to submit a queued job met; None if there was none."""
        text = await self._fetch_value("last-attempt", job_id=job_id)
        return None if text is None else json.loads(text).get("reason")
