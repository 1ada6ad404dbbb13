"""Due jobs, grouped by provider and user, so that workers can serve users round-robin."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import NamedTuple

from store.changes import CommitNotice
from store.job_writer import JobWriter
from store.records.jobs import Job
from store.records.times import Lane, Lease, Millis
from store.repository import Backend, Repository, latest_lease_end
from store.session import Session


class Backlog(NamedTuple):
    """A user's jobs at one provider that wait in a lane."""

    provider: str
    user_id: int


@dataclass(frozen=True, slots=True)
class BacklogsDue:
    """What waits in a lane."""

    backlogs: tuple[Backlog, ...]
    """Those with a due job that is not leased, most overdue first. Rows written by an older release
    count as user 0 and provider ''."""
    next_at: Millis | None
    """When there will be more: the next retry, or the end of a lease."""


class Backlogs(Repository):
    """The waiting jobs of each lane, grouped by provider and user."""

    subject = "backlogs"

    def __init__(self, backend: Backend, job_writer: JobWriter) -> None:
        super().__init__(backend)
        self._job_writer = job_writer

    async def due(self, lane: Lane, now: Millis) -> BacklogsDue:
        """Find the backlogs with due jobs. The cost grows with their number, not their length."""
        times = _times(lane, now, now)
        backlogs: dict[Backlog, None] = {}
        next_at = None
        for is_leased, provider, user_id, at in await self._fetch("list-backlogs", **times):
            if at <= now or (is_leased and at > times["latest_end"]):
                backlogs[Backlog(provider, user_id)] = None
            if at > now and next_at is None:
                # This includes a lease that counts as due above, because it was taken before the
                # clock was set back: `lease` has a later `latest_end`, and may not end it yet.
                next_at = at
        return BacklogsDue(tuple(backlogs), next_at)

    async def lease(
        self, lane: Lane, most: Mapping[Backlog, int], now: Millis, lease: Lease
    ) -> list[Job]:
        """Lease due jobs, earliest first, at most `most[backlog]` per backlog. Jobs with expired
        leases can be leased again. A lease also ends when a move changes its job, and by
        `Jobs.release`."""
        shared = {**_times(lane, now, lease.until), **asdict(lease)}

        def work(db: Session, _: CommitNotice) -> list[Job]:
            db.execute(self._sql["end-leases"], shared)
            taken = []
            for backlog, limit in most.items():
                parameters = {**shared, **backlog._asdict(), "limit": limit}
                taken += db.execute(self._sql["lease-of-user"], parameters).fetchall()
            return self._job_writer.read_leased(db, taken)

        return await self._writer.normal(work)


def _times(lane: Lane, now: Millis, until: Millis) -> Mapping[str, str | Millis]:
    return {"lane": lane.value, "now": now, "latest_end": latest_lease_end(until)}
