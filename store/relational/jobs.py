"""Jobs, and what is due for them."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from store.contract import Decide, JobFilter
from store.errors import KeyHeld, KeyReused
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
from store.relational import history, retention
from store.relational.advance import Changer, due_values
from store.relational.backend import Backend
from store.relational.idempotency import take_key
from store.relational.lookups import Lookups
from store.relational.rows import (
    FIXED_COLUMNS,
    MUTABLE_COLUMNS,
    fixed_values,
    job_from_row,
    mutable_values,
    to_json,
)
from store.relational.session import Alike, Done, Effects, Failed, OnJobs, Outcome, Session
from store.relational.statements import ManyRows

_Creation: TypeAlias = tuple[NewJob, IdempotencyKey | None, Answer | None]

_LAST_ID = "~"
"""Sorts after every id."""

_END_OF_TIME: Millis = 2**62


class SqlJobs:
    """`store.contract.Jobs`."""

    def __init__(self, backend: Backend, changer: Changer) -> None:
        self._backend = backend
        self._writer = backend.writer
        self._readers = backend.readers
        self._sql = backend.statements.load("jobs")
        self._keys = backend.statements.load("idempotency")
        self._changer = changer
        self._lookups = Lookups(backend.readers, self._sql["look-jobs-up"])
        self._new_jobs = ManyRows(self._sql["create-job"])
        self._new_inputs = ManyRows(self._sql["create-input"])
        self._new_metadata = ManyRows(self._sql["create-metadata"])
        self._new_due = ManyRows(self._sql["set-due"])

    async def create(
        self, new: NewJob, idempotency: IdempotencyKey | None = None, answer: Answer | None = None
    ) -> Job | Replay:
        return await self._writer.urgent(Alike(self._create, (new, idempotency, answer)))

    async def advance(
        self, job_id: str, decide: Decide, *, applying: int | None = None
    ) -> tuple[Job, Move | None]:
        def work(db: Session, effects: Effects) -> tuple[Job, Move | None]:
            return self._changer.advance(db, effects, job_id, decide, applying)

        return await self._writer.background(OnJobs(work, jobs=(job_id,)))

    def _create(
        self, db: Session, effects: Effects, creations: Sequence[_Creation]
    ) -> Sequence[Outcome[Job | Replay]]:
        outcomes: list[Outcome[Job | Replay]] = []
        made: list[NewJob] = []
        for new, idempotency, answer in creations:
            try:
                replay = idempotency and take_key(db, self._keys, new.job, idempotency, answer)
            except (KeyHeld, KeyReused) as refusal:
                outcomes.append(Failed(refusal))
                continue
            outcomes.append(Done(replay or new.job))
            if not replay:
                made.append(new)
        self._write(db, made)
        for new in made:
            if new.job.due is not None:
                effects.due.add(new.job.due.lane)
            self._changer.append_event(effects, new.job, new.event)
        return outcomes

    def _write(self, db: Session, made: Sequence[NewJob]) -> None:
        rows = [
            {
                **dict(zip(FIXED_COLUMNS, fixed_values(new.job), strict=True)),
                **dict(zip(MUTABLE_COLUMNS, mutable_values(new.job), strict=True)),
                "trace_context": new.trace_context,
            }
            for new in made
        ]
        inputs = [{"job_id": new.job.id, "input": to_json(new.input)} for new in made]
        metadata = [
            {"user_id": new.job.user_id, "job_id": new.job.id, "name": name, "value": value}
            for new in made
            for name, value in (new.job.metadata or {}).items()
        ]
        due = [due_values(new.job) for new in made if new.job.due is not None]
        self._new_jobs.run(db, rows)
        self._new_inputs.run(db, inputs)
        self._new_metadata.run(db, metadata)
        self._new_due.run(db, due)

    # --- reading --------------------------------------------------------------------------------

    async def find(self, job_id: str) -> Job | None:
        row = await self._lookups.find(job_id)
        return job_from_row(row) if row else None

    async def find_for_user(self, user_id: int, job_id: str) -> Job | None:
        job = await self.find(job_id)
        return job if job is not None and job.user_id == user_id else None

    async def find_by_provider_id(self, provider_request_id: str) -> Job | None:
        parameters = {"provider_request_id": provider_request_id}
        return await self._one("read-job-of-anybody-by-provider-id", parameters)

    async def find_by_provider_id_for_user(
        self, user_id: int, provider_request_id: str
    ) -> Job | None:
        return await self._one(
            "read-job-by-provider-id",
            {"user_id": user_id, "provider_request_id": provider_request_id},
        )

    async def _one(self, query: str, parameters: Mapping[str, object]) -> Job | None:
        rows = await self._readers.fetch(self._sql[query], parameters)
        return job_from_row(rows[0]) if rows else None

    async def provider_id_holder(self, provider: str, provider_request_id: str) -> str | None:
        rows = await self._readers.fetch(
            self._sql["read-provider-id-holder"],
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
        rows = await self._readers.fetch(self._sql[query], parameters)
        return [job_from_row(row) for row in rows]

    async def input_of(self, job_id: str) -> Mapping[str, object]:
        return await history.input_of(self._backend, job_id)

    async def trace_context_of(self, job_id: str) -> str | None:
        rows = await self._readers.fetch(self._sql["read-trace-context"], {"job_id": job_id})
        return rows[0][0] if rows else None

    async def history_of(self, job_id: str) -> list[HistoryLine]:
        return await history.history_of(self._backend, job_id)

    async def in_phase(self, phase: Phase, limit: int) -> list[str]:
        rows = await self._readers.fetch(
            self._sql["list-in-phase"], {"phase": phase.value, "limit": limit}
        )
        return [row[0] for row in rows]

    async def census(self) -> Mapping[str, tuple[int, Millis]]:
        rows = await self._readers.fetch(self._sql["census"], {})
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

        def work(db: Session, _: Effects) -> list[Job]:
            leased = db.execute(self._sql["lease-due"], parameters).fetchall()
            leased.sort(key=lambda row: (row[1], row[0]))
            # All are asked for before the first is read: they may travel together.
            found = [db.execute(self._sql["read-job"], {"job_id": job_id}) for job_id, _ in leased]
            return [job_from_row(row) for result in found for row in result]

        return await self._writer.background(work)

    async def release(self, holder: str, job_ids: Sequence[str]) -> None:
        def work(db: Session, effects: Effects) -> None:
            for job_id in job_ids:
                parameters = {"job_id": job_id, "holder": holder}
                for (lane,) in db.execute(self._sql["release-due"], parameters).fetchall():
                    effects.due.add(Lane(lane))

        await self._writer.background(OnJobs(work, jobs=tuple(job_ids)))

    async def end_holds(self) -> None:
        def work(db: Session, _: Effects) -> None:
            db.execute(self._sql["end-holds"])

        await self._writer.background(work)

    async def next_due(self, lane: Lane) -> Millis | None:
        rows = await self._readers.fetch(self._sql["next-due"], {"lane": lane.value})
        return _value(rows)

    async def poll_at_once(self, job_id: str, now: Millis) -> None:
        def work(db: Session, effects: Effects) -> None:
            self._changer.poll_at_once(db, effects, job_id, now)

        await self._writer.background(OnJobs(work, jobs=(job_id,)))

    async def hold_submissions(self, provider: str, until: Millis) -> None:
        def work(db: Session, _: Effects) -> None:
            db.execute(self._sql["hold-submissions"], {"provider": provider, "until": until})

        await self._writer.background(work)

    async def submissions_held_until(self, provider: str) -> Millis | None:
        rows = await self._readers.fetch(self._sql["read-submission-hold"], {"provider": provider})
        return _value(rows)

    async def remove_finished(self, done_before: Millis, limit: int) -> int:
        return await self._writer.background(
            lambda db, _: retention.remove_finished(
                db, self._backend.statements, done_before, limit
            )
        )


def _value(rows: list[tuple[Any, ...]]) -> Millis | None:
    return rows[0][0] if rows else None
