"""The submission queue, and the holds that providers asked for."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import TypeAdapter

from store.changes import Effects
from store.holds import ProviderHolds
from store.job_writer import JobWriter
from store.records.jobs import Job
from store.records.times import Lane, Lease, Millis
from store.session import Session
from store.table import Backend, Table, latest_lease_end

_HOLDS = TypeAdapter(ProviderHolds)


class Backlog(NamedTuple):
    """A user's queued submissions to one provider."""

    provider: str
    user_id: int


@dataclass(frozen=True, slots=True)
class SubmissionsDue:
    """The waiting submissions."""

    backlogs: tuple[Backlog, ...]
    """Those with a due submission that is not leased, longest due first. Rows written by an older
    release count as user 0 and provider ''."""
    next_at: Millis | None
    """When there will be more: the next retry, or the end of a lease."""


class Submissions(Table):
    """The submission queue, and the holds that providers asked for."""

    subject = "submissions"

    def __init__(self, backend: Backend, job_writer: JobWriter) -> None:
        super().__init__(backend)
        self._job_writer = job_writer

    async def due(self, now: Millis) -> SubmissionsDue:
        """Who has submissions due. The cost grows with the number of users, not with their
        backlogs."""
        queries = ("list-waiting-users", "list-ended-leases", "next-submission")
        free, ended, ((next_at,),) = await asyncio.gather(
            *(self._fetch(query, **_times(now)) for query in queries)
        )
        # A user may be in both; the first occurrence decides the order.
        backlogs = dict.fromkeys(Backlog(*row) for row in (*free, *ended))
        return SubmissionsDue(tuple(backlogs), next_at)

    async def lease(self, most: Mapping[Backlog, int], now: Millis, lease: Lease) -> list[Job]:
        """Lease due submissions, earliest first, at most this many of each backlog. Expired leases
        are free. A lease lasts until `lease.until`, or until the job is advanced or released."""

        def work(db: Session, _: Effects) -> list[Job]:
            db.execute(self._sql["end-leases"], _times(now))
            taken = []
            for (provider, user_id), limit in most.items():
                parameters = {
                    "provider": provider,
                    "user_id": user_id,
                    "now": now,
                    "holder": lease.holder,
                    "until": lease.until,
                    "limit": limit,
                }
                taken += db.execute(self._sql["lease-of-user"], parameters).fetchall()
            taken.sort(key=lambda row: (row[1], row[0]))
            return self._job_writer.read(db, (job_id for job_id, _ in taken))

        return await self._writer.background(work)

    async def holds(self) -> Mapping[str, ProviderHolds]:
        """By provider: its recorded refusals."""
        rows = await self._fetch("list-holds")
        return {provider: _HOLDS.validate_json(state) for provider, state in rows}

    async def change_holds(
        self, provider: str, change: Callable[[ProviderHolds], ProviderHolds]
    ) -> ProviderHolds:
        """Replace a provider's recorded refusals in one transaction; returns the new value.
        `change` must be pure and fast, like a `Decide`. Notifies the submission queue."""

        def work(db: Session, effects: Effects) -> ProviderHolds:
            ((state,),) = db.execute(self._sql["lock-hold"], {"provider": provider}).fetchall()
            before = ProviderHolds() if state is None else _HOLDS.validate_json(state)
            after = change(before)
            if after != before:
                until = 0 if after.everybody is None else after.everybody.until
                fresh = {"until": until, "state": _HOLDS.dump_json(after).decode()}
                db.execute(self._sql["change-hold"], {"provider": provider, **fresh})
                effects.will_be_due(Lane.SUBMIT, 0)
            return after

        return await self._writer.background(work)


def _times(now: Millis) -> Mapping[str, Millis]:
    return {"now": now, "latest_end": latest_lease_end(now)}
