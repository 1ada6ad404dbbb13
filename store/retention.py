"""Deletes finished jobs after the retention period."""

from collections import Counter
from typing import NamedTuple, TypeAlias

from store.records.times import Millis
from store.repository import Backend, Repository
from store.session import Session

MAX_OVERDUE: Millis = 7 * 24 * 3_600_000
"""How long beyond the retention period a delivery may be due before its job is removed anyway. A
host that cannot be reached gets one attempt a minute, so of many messages some are never tried."""

Position: TypeAlias = tuple[Millis, str]
"""A job's end time and id."""


class Removed(NamedTuple):
    """The result of one batch."""

    jobs: int
    after: Position | None
    """Where the next batch continues; None if there are no more candidates."""


class Retention(Repository):
    subject = "jobs"

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self._events = backend.statements.load("events")
        self._archive = backend.statements.load("archive")

    async def remove(
        self, done_before: Millis, limit: int, after: Position | None = None
    ) -> Removed:
        """Look at the next `limit` jobs that ended before `done_before`, from the position `after`
        on. Remove them with all their dependent rows, unless something
        is still pending: a delivery, a claim, a call to the provider, a running download. A
        delivery does not count as pending if it was due more than `MAX_OVERDUE` before
        `done_before`. `Archive.removals` then lists the removed jobs with archived files."""
        return await self._writer.normal(
            lambda db, _: self._remove(db, done_before, limit, after or (0, ""))
        )

    def _remove(self, db: Session, done_before: Millis, limit: int, after: Position) -> Removed:
        bounds = {"done_before": done_before, "overdue_since": done_before - MAX_OVERDUE}
        position = {"done_at": after[0], "id": after[1], "limit": limit}
        found = db.execute(self._sql["list-ended"], bounds | position).fetchall()
        last = found[-1][:2] if len(found) == limit else None
        removed_up_to: dict[int, int] = {}
        freed, unarchived = Counter[int](), Counter[int]()
        removable = [{"job_id": job_id} for _, job_id, is_removable in found if is_removable]
        for job in removable:
            row = db.execute(self._sql["last-event"], job).fetchone()
            user_id, seq, stored, archived = row
            freed[user_id] += stored
            unarchived[user_id] += archived
            removed_up_to[user_id] = max(removed_up_to.get(user_id, 0), seq)
            db.execute(self._archive["remember-files"], job)
            db.execute(self._sql["remove-job"], job)
        # Last: this locks the users' rows, for which every write of their events waits.
        for user_id, seq in sorted(removed_up_to.items()):
            counts = {"freed": freed[user_id], "unarchived": unarchived[user_id]}
            db.execute(self._events["mark-removed"], {"user_id": user_id, "seq": seq, **counts})
        return Removed(len(removable), last)
