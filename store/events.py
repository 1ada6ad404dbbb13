"""The event log, numbered per user."""

from collections.abc import Collection, Iterator, Mapping
from operator import itemgetter

from store.records.events import Cursor, Event
from store.records.jobs import Job
from store.repository import PAGE_BYTES, Repository
from store.rows import job_from_row, to_json


class Events(Repository):
    """The event log, numbered per user; streams read it from a cursor."""

    subject = "events"

    async def snapshot_for_job(self, job_id: str) -> tuple[Cursor, Job] | None:
        """The cursor of the job's user, and the job, in one snapshot; None if there is no such
        job."""
        return await self._find(
            "snapshot-of-job", lambda row: (Cursor(*row[:2]), job_from_row(row[2:])), job_id=job_id
        )

    async def snapshot_for_user(
        self, user_id: int, limit: int
    ) -> tuple[Cursor, Iterator[Job], bool]:
        """The user's cursor, the unfinished jobs, newest first, and whether there are more than
        `limit`; all in one snapshot."""
        rows = await self._fetch("snapshot-of-user", user_id=user_id, limit=limit + 1)
        if not rows:  # no such user: an empty log, which cannot be resumed
            return Cursor(0, ""), iter(()), False
        found = [row[2:] for row in rows if row[2] is not None]
        found.sort(key=itemgetter(0), reverse=True)  # by id
        return Cursor(*rows[0][:2]), map(job_from_row, found[:limit]), len(found) > limit

    async def can_resume(self, user_id: int, cursor: Cursor) -> bool:
        """Whether the cursor belongs to this user's log, and nothing after it has been removed.

        For a job's own stream, removed events of other jobs do not matter: see `can_resume_job`.
        """
        removed = await self._removed_up_to(user_id, cursor)
        return removed is not None and removed <= cursor.seq

    async def can_resume_job(self, job: Job, cursor: Cursor) -> bool:
        """Whether the cursor belongs to the log of the job's user. A job is removed with all its
        events, so it lacks none. If the cursor is at a removed event of another job, the log no
        longer knows it, and the stream starts anew."""
        return await self._removed_up_to(job.user_id, cursor) is not None

    async def _removed_up_to(self, user_id: int, cursor: Cursor) -> int | None:
        """The `seq` up to which retention has removed the log's events; None if the cursor is not
        from this user's log."""
        return await self._fetch_value(
            "find-cursor", user_id=user_id, seq=cursor.seq, nonce=cursor.nonce
        )

    async def after_for_job(self, job_id: str, seq: int, limit: int) -> list[Event]:
        """The job's events after `seq` in its user's log, oldest first. A page ends early at 1 MiB
        of data, but has at least one event if there is one."""
        return await self._page("job_id = :job_id", job_id=job_id, seq=seq, limit=limit)

    async def after_for_user(self, user_id: int, seq: int, limit: int) -> list[Event]:
        """The user's events after `seq` in the log; pages as above."""
        return await self._page("user_id = :user_id", user_id=user_id, seq=seq, limit=limit)

    async def _page(self, whose: str, **parameters: object) -> list[Event]:
        rows = await self._fetch("events-after", {"whose": whose}, **parameters, bytes=PAGE_BYTES)
        return [
            Event(Cursor(seq, nonce), job_id, at, data) for seq, nonce, job_id, at, data in rows
        ]

    async def latest(self, user_id: int) -> Cursor:
        """The position of the user's latest event, or the log's origin."""
        return (await self.ends([user_id])).get(user_id, Cursor(0, ""))

    async def ends(self, user_ids: Collection[int]) -> Mapping[int, Cursor]:
        """By user: the position of the latest event. One read, whatever their number."""
        rows = await self._fetch("read-ends", users=to_json(list(user_ids)))
        return {user_id: Cursor(*end) for user_id, *end in rows}
