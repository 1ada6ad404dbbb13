"""The inbox: the provider's callbacks, stored raw before they are applied."""

from collections.abc import Awaitable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypedDict

from store.changes import CommitNotice
from store.errors import NotApplied, NotFound
from store.job_writer import JobWriter
from store.records.callbacks import Callback, Verdict
from store.records.jobs import Job
from store.records.moves import DecideCallbacks, Move
from store.records.times import Lane, Lease, Millis
from store.repository import Backend, Queue
from store.session import Row, Session

MAX_STORED_CALLBACKS = 200
"""Callbacks stored per job."""

JOB_BYTES = 256 * 1024
"""Maximum size of the callback bodies applied to a job at once; a single body may be larger."""

APPLY_TRIES = 3
"""Failed applications after which a callback is abandoned."""


class Receipt(StrEnum):
    """How an incoming callback was classified; decides the HTTP response."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    CONFLICT = "conflict"
    SURPLUS = "surplus"
    """Over the limit of stored callbacks per job: the only kind whose body is not stored at all. (A
    repeated body is stored once.)"""


_RECEIPT_AGAIN = {Verdict.REJECTED: Receipt.REJECTED, Verdict.CONFLICT: Receipt.CONFLICT}


class IncomingCallback(TypedDict):
    """An incoming callback."""

    provider: str
    job_id: str
    at: Millis
    digest: bytes
    """SHA-256 of the body: each job stores the same bytes only once."""
    headers: str
    body: bytes
    provider_request_id: str | None
    """The provider_request_id in the body."""
    readable: bool
    """Whether the body is a JSON object."""
    final: bool
    """Whether it reports an outcome, which is applied before progress (`Changes.inbox`)."""
    verified: bool
    """Whether its signature was the provider's."""


@dataclass(frozen=True, slots=True)
class Applied:
    """The result of applying a job's waiting callbacks."""

    job: Job
    """The job afterwards."""
    move: Move | None
    has_more: bool
    """Whether more callbacks are waiting: not all of them were within the limits of one change."""
    is_leased: bool = False
    """Whether the job has become due for confirmation, with the caller's lease."""


class Callbacks(Queue):
    subject = "callbacks"

    def __init__(self, backend: Backend, job_writer: JobWriter) -> None:
        super().__init__(backend)
        self._job_writer = job_writer

    def receive(self, arrival: IncomingCallback) -> Awaitable[Receipt]:
        """Store one callback and classify it, in one transaction.

        The checks run in this order: rejected (not readable), conflict (`provider_request_id` is
        not the job's, or another job has it), duplicate (same bytes as before), accepted. A
        verified duplicate marks the stored callback as verified, which is then applied again if it
        was claimed, denied or late. A rejected or conflicting callback makes the job's poll due at
        `at`; if it is repeated, it is not stored again and gets the same receipt. Once a job has
        200 callbacks, a new one is not stored: its receipt is SURPLUS, and the job's poll is due at
        `at`. Raises `NotFound` if there is no such job.
        """
        return self._writer.urgent(lambda db, notice: self._receive(db, notice, arrival))

    async def exists(self, provider: str, job_id: str) -> bool:
        """Whether the provider's job is still stored."""
        return bool(await self._fetch("exists", provider=provider, job_id=job_id))

    async def apply(
        self,
        job_id: str,
        decide: DecideCallbacks,
        *,
        most: int,
        final: bool = True,
        lease: Lease | None = None,
    ) -> Applied:
        """Apply a job's oldest waiting callbacks in one change: reads them inside the transaction,
        and writes the move as `Jobs.advance` does.

        `final` says that one of them reports an outcome, which goes before progress. Takes at most
        `most` callbacks and at most 256 KiB of bodies, but at least one callback. If the job is due
        for confirmation afterwards, `lease` is written with its due row, for the caller that makes
        the status call. Raises `NotFound`, `ProviderIdTaken`, and `NotApplied` for anything that
        `decide` raises.
        """

        def work(db: Session, notice: CommitNotice) -> Applied:
            self._job_writer.lock(db, job_id)
            callbacks, has_more = self._waiting(db, job_id, most)
            seen: list[Job] = []

            def decide_with_callbacks(job: Job) -> Move | None:
                seen.append(job)
                if not callbacks:  # already applied by another worker
                    return None
                try:
                    return decide(job, callbacks)
                except Exception as error:
                    raise NotApplied([each.id for each in callbacks], error) from error

            job, move = self._job_writer.change(db, notice, job_id, decide_with_callbacks, lease)
            if not has_more:
                notice.applied.add(job_id)
            is_confirming = job.due is not None and job.due.lane is Lane.CONFIRM
            is_leased = lease is not None and is_confirming and job.due != seen[0].due
            return Applied(job, move, has_more, is_leased)

        return await self._writer.normal(work)

    async def jobs_waiting(self, limit: int) -> list[str]:
        """Ids of the jobs that the `limit` longest-waiting callbacks belong to."""
        rows = await self._fetch("jobs-waiting", limit=limit)
        return list(dict.fromkeys(job_id for (job_id,) in rows))

    async def count_failure(self, callback_id: int, now: Millis) -> int:
        """Count a failed application. After the third, the callback is `FAILED` and its job's poll
        is due at `now`. Returns the count. Raises `NotFound` if it is no longer waiting."""

        def work(db: Session, notice: CommitNotice) -> int:
            failed = {"callback_id": callback_id, "tries": APPLY_TRIES}
            row = db.execute(self._sql["count-failure"], failed).fetchone()
            if row is None:
                raise NotFound(f"callback {callback_id}")
            job_id, tries = row
            if tries >= APPLY_TRIES:
                self._job_writer.make_poll_due(db, notice, job_id, now)
            return int(tries)

        return await self._writer.normal(work)

    def _waiting(self, db: Session, job_id: str, most: int) -> tuple[list[Callback], bool]:
        """The oldest waiting callbacks within the limits, and whether there are more."""
        sizes = db.execute(self._sql["list-waiting"], {"job_id": job_id}).fetchall()
        chosen: list[int] = []
        total = 0
        for id_, size in sizes[:most]:
            total += size
            if chosen and total > JOB_BYTES:
                break
            chosen.append(id_)
        rows = [db.execute(self._sql["read"], {"id": each}).fetchone() for each in chosen]
        return [_callback(row) for row in rows], len(chosen) < len(sizes)

    def _receive(self, db: Session, notice: CommitNotice, arrival: IncomingCallback) -> Receipt:
        parameters = {**arrival, "room": MAX_STORED_CALLBACKS}
        if arrival["readable"] and db.execute(self._sql["receive"], parameters).rowcount:
            notice.add_callback(arrival["job_id"], final=arrival["final"])
            return Receipt.ACCEPTED
        return self._classify(db, notice, arrival)

    def _classify(self, db: Session, notice: CommitNotice, arrival: IncomingCallback) -> Receipt:
        """Classify a callback that was not inserted. One with a new body is stored if there is
        room, and in any case makes a poll due."""
        self._job_writer.lock(db, arrival["job_id"])
        parameters = {**arrival, "room": MAX_STORED_CALLBACKS}
        row = db.execute(self._sql["classify"], parameters).fetchone()
        if row is None:
            raise NotFound(arrival["job_id"])
        contested, seen, stored = row
        if not arrival["readable"]:
            verdict, receipt = Verdict.REJECTED, Receipt.REJECTED
        elif contested:
            verdict, receipt = Verdict.CONFLICT, Receipt.CONFLICT
        else:
            verdict, receipt = Verdict.WAITING, Receipt.DUPLICATE
        if seen is not None:
            if arrival["verified"]:
                self._verify(db, notice, arrival)
            return _RECEIPT_AGAIN.get(Verdict(seen), receipt)
        if stored < MAX_STORED_CALLBACKS:
            db.execute(self._sql["insert-with-verdict"], {**parameters, "verdict": verdict.value})
        else:
            receipt = Receipt.SURPLUS
        self._job_writer.make_poll_due(db, notice, arrival["job_id"], arrival["at"])
        return receipt

    def _verify(self, db: Session, notice: CommitNotice, arrival: IncomingCallback) -> None:
        """Mark the stored callback with the same bytes as verified."""
        row = db.execute(self._sql["verify"], arrival).fetchone()
        if row is not None and row[0] == Verdict.WAITING:
            notice.add_callback(arrival["job_id"], final=arrival["final"])


def _callback(row: Row) -> Callback:
    id_, job_id, provider, received_at, tries, verified, body = row
    return Callback(id_, job_id, provider, received_at, tries, bool(verified), body)
