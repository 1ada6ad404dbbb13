"""Jobs, and what is due for them."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from store.contract import Changes, Decide, JobFilter
from store.ids import first_id
from store.records import (
    Answer,
    HistoryLine,
    IdempotencyKey,
    Job,
    Lane,
    Millis,
    Move,
    NewJob,
    Phase,
    Replay,
)
from store.sqlite import advance, history, retention, sql
from store.sqlite.advance import Randomness
from store.sqlite.idempotency import take_key
from store.sqlite.readers import Readers
from store.sqlite.rows import fixed_values, job_from_row, mutable_values, to_json
from store.sqlite.writer import Writer

_SQL = sql.load("jobs")

_LAST_ID = "~"
"""Sorts after every id."""

_END_OF_TIME: Millis = 2**62


class SqliteJobs:
    """`store.contract.Jobs` on SQLite."""

    def __init__(self, writer: Writer, readers: Readers, random: Randomness) -> None:
        self._writer = writer
        self._readers = readers
        self._random = random

    async def create(
        self, new: NewJob, idempotency: IdempotencyKey | None = None, answer: Answer | None = None
    ) -> Job | Replay:
        job = new.job

        def work(db: sqlite3.Connection, changes: Changes) -> Job | Replay:
            if idempotency is not None:
                replay = take_key(db, job, idempotency, answer)
                if replay is not None:
                    return replay
            db.execute(_SQL["create-job"], (*fixed_values(job), *mutable_values(job)))
            db.execute(_SQL["create-input"], (job.id, to_json(new.input)))
            for name, value in (job.metadata or {}).items():
                db.execute(_SQL["create-metadata"], (job.user_id, name, value, job.id))
            if job.due is not None:
                advance.set_due(db, job)
                changes.due.add(job.due.lane)
            advance.append_event(db, changes, job, new.event, self._random)
            return job

        return await self._writer.urgent(work)

    async def advance(
        self, job_id: str, decide: Decide, *, applying: int | None = None
    ) -> tuple[Job, Move | None]:
        return await self._writer.background(
            lambda db, changes: advance.advance(db, changes, job_id, decide, self._random, applying)
        )

    # --- reading --------------------------------------------------------------------------------

    async def find(self, job_id: str) -> Job | None:
        return await self._one("read-job", {"job_id": job_id})

    async def find_for_user(self, user_id: int, job_id: str) -> Job | None:
        return await self._one("read-job-of-user", {"user_id": user_id, "job_id": job_id})

    async def find_by_provider_id_for_user(
        self, user_id: int, provider_request_id: str
    ) -> Job | None:
        return await self._one(
            "read-job-by-provider-id",
            {"user_id": user_id, "provider_request_id": provider_request_id},
        )

    async def _one(self, query: str, parameters: Mapping[str, object]) -> Job | None:
        rows = await self._readers.fetch(_SQL[query], parameters)
        return job_from_row(rows[0]) if rows else None

    async def provider_id_holder(self, provider: str, provider_request_id: str) -> str | None:
        rows = await self._readers.fetch(
            _SQL["read-provider-id-holder"],
            {"provider": provider, "provider_request_id": provider_request_id},
        )
        return rows[0][0] if rows else None

    async def list_for_user(
        self, user_id: int, where: JobFilter, before: str | None, limit: int
    ) -> list[Job]:
        parameters: dict[str, object] = {
            "user_id": user_id,
            "before": before or _LAST_ID,
            # An id's time is never before its job's: the bound only spares rows. The other end of
            # the interval has no such bound, since ids go on growing when the clock steps back.
            "first": first_id("job", max(where.created_after or 0, 0)),
            "created_after": -1 if where.created_after is None else where.created_after,
            "created_before": (
                _END_OF_TIME if where.created_before is None else where.created_before
            ),
            "status": where.status,
            "kind": where.kind,
            "limit": limit,
        }
        if where.metadata:
            name, value = next(iter(where.metadata.items()))
            parameters |= {"name": name, "value": value, "metadata": to_json(where.metadata)}
            query = "list-by-metadata"
        elif where.status is not None:
            query = "list-by-status"
        elif where.kind is not None:
            query = "list-by-kind"
        else:
            query = "list-by-user"
        rows = await self._readers.fetch(_SQL[query], parameters)
        return [job_from_row(row) for row in rows]

    async def input_of(self, job_id: str) -> Mapping[str, object]:
        return await history.input_of(self._readers, job_id)

    async def history_of(self, job_id: str) -> list[HistoryLine]:
        return await history.history_of(self._readers, job_id)

    async def in_phase(self, phase: Phase, limit: int) -> list[str]:
        rows = await self._readers.fetch(
            _SQL["list-in-phase"], {"phase": phase.value, "limit": limit}
        )
        return [row[0] for row in rows]

    async def census(self) -> Mapping[str, tuple[int, Millis]]:
        rows = await self._readers.fetch(_SQL["census"], {})
        return {phase: (count, oldest) for phase, count, oldest in rows}

    # --- what is due ----------------------------------------------------------------------------

    async def lease_due(
        self, lane: Lane, now: Millis, until: Millis, holder: str, limit: int
    ) -> list[Job]:
        parameters = {
            "lane": lane.value,
            "now": now,
            "until": until,
            "holder": holder,
            "limit": limit,
        }

        def work(db: sqlite3.Connection, _changes: Changes) -> list[Job]:
            leased = db.execute(_SQL["lease-due"], parameters).fetchall()
            leased.sort(key=lambda row: (row[1], row[0]))
            return [advance.read_job(db, job_id) for job_id, _ in leased]

        return await self._writer.background(work)

    async def release(self, holder: str, job_ids: Sequence[str]) -> None:
        def work(db: sqlite3.Connection, changes: Changes) -> None:
            for job_id in job_ids:
                parameters = {"job_id": job_id, "holder": holder}
                for (lane,) in db.execute(_SQL["release-due"], parameters).fetchall():
                    changes.due.add(Lane(lane))

        await self._writer.background(work)

    async def end_holds(self) -> None:
        def work(db: sqlite3.Connection, _changes: Changes) -> None:
            db.execute(_SQL["end-holds"])

        await self._writer.background(work)

    async def next_due(self, lane: Lane) -> Millis | None:
        rows = await self._readers.fetch(_SQL["next-due"], {"lane": lane.value})
        return _value(rows)

    async def poll_at_once(self, job_id: str, now: Millis) -> None:
        await self._writer.background(
            lambda db, changes: advance.poll_at_once(db, changes, job_id, now)
        )

    async def hold_submissions(self, provider: str, until: Millis) -> None:
        def work(db: sqlite3.Connection, _changes: Changes) -> None:
            db.execute(_SQL["hold-submissions"], {"provider": provider, "until": until})

        await self._writer.background(work)

    async def submissions_held_until(self, provider: str) -> Millis | None:
        rows = await self._readers.fetch(_SQL["read-submission-hold"], {"provider": provider})
        return _value(rows)

    async def remove_finished(self, done_before: Millis, limit: int) -> int:
        return await self._writer.background(
            lambda db, _changes: retention.remove_finished(db, done_before, limit)
        )


def _value(rows: list[tuple[Any, ...]]) -> Millis | None:
    return rows[0][0] if rows else None
