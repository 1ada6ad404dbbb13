"""The event log, numbered by user."""

from collections.abc import Mapping

from store.records import Cursor, Event, Job
from store.relational.backend import Backend
from store.relational.rows import job_from_row

PAGE_BYTES = 1024 * 1024
"""Event data in one page, after which it ends."""


class SqlEvents:
    """`store.contract.Events`."""

    def __init__(self, backend: Backend) -> None:
        self._readers = backend.readers
        self._sql = backend.statements.load("events")

    async def snapshot_for_job(self, job_id: str) -> tuple[Cursor, Job] | None:
        rows = await self._readers.fetch(self._sql["snapshot-of-job"], {"job_id": job_id})
        if not rows:
            return None
        ((seq, nonce, *row),) = rows
        return Cursor(seq, nonce), job_from_row(tuple(row))

    async def snapshot_for_user(self, user_id: int, limit: int) -> tuple[Cursor, list[Job], bool]:
        rows = await self._readers.fetch(
            self._sql["snapshot-of-user"], {"user_id": user_id, "limit": limit + 1}
        )
        if not rows:  # no such user: nothing has happened, and nothing can be resumed
            return Cursor(0, ""), [], False
        seq, nonce, *_ = rows[0]
        jobs = [job_from_row(row[2:]) for row in rows if row[2] is not None]
        jobs.sort(key=lambda job: job.id, reverse=True)
        return Cursor(seq, nonce), jobs[:limit], len(jobs) > limit

    async def knows(self, user_id: int, cursor: Cursor) -> bool:
        removed = await self._removed_behind(user_id, cursor)
        return removed is not None and removed <= cursor.seq

    async def knows_for_job(self, job: Job, cursor: Cursor) -> bool:
        return await self._removed_behind(job.user_id, cursor) is not None

    async def _removed_behind(self, user_id: int, cursor: Cursor) -> int | None:
        """How far the user's log has been removed; None where the cursor is not of that log."""
        rows = await self._readers.fetch(
            self._sql["read-log-place"], {"user_id": user_id, "seq": cursor.seq}
        )
        if not rows:
            return None
        ((end, end_nonce, origin_nonce, removed, kept, gone),) = rows
        nonces = {kept, gone}
        if cursor.seq == end:
            nonces.add(end_nonce)
        if cursor.seq == 0:
            nonces.add(origin_nonce)
        return removed if cursor.nonce in nonces else None

    async def after_for_job(self, job_id: str, seq: int, limit: int) -> list[Event]:
        return await self._page("events-of-job", {"job_id": job_id}, seq, limit)

    async def after_for_user(self, user_id: int, seq: int, limit: int) -> list[Event]:
        return await self._page("events-of-user", {"user_id": user_id}, seq, limit)

    async def _page(
        self, query: str, whose: Mapping[str, object], seq: int, limit: int
    ) -> list[Event]:
        rows = await self._readers.fetch(
            self._sql[query], {**whose, "seq": seq, "limit": limit, "bytes": PAGE_BYTES}
        )
        return [
            Event(Cursor(at_seq, nonce), job, at, data) for at_seq, nonce, job, at, data in rows
        ]

    async def latest_seq(self, user_id: int) -> int:
        rows = await self._readers.fetch(self._sql["read-latest-place"], {"user_id": user_id})
        return rows[0][0] if rows else 0
