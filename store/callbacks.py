"""The provider's callbacks: each is stored raw and applied in one transaction."""

from collections.abc import Awaitable
from enum import StrEnum
from functools import partial
from typing import Final, TypedDict

from store.changes import CommitNotice
from store.errors import NotFound
from store.job_writer import JobWriter
from store.records.callbacks import Verdict
from store.records.times import Millis
from store.records.transitions import DecideCallback
from store.repository import Backend, Repository
from store.session import Session

MAX_STORED_CALLBACKS = 200
"""Callbacks stored per job."""


class Receipt(StrEnum):
    """How an incoming callback was classified; decides the HTTP response."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    """The same bytes are stored already, or the job has too many callbacks."""
    REJECTED = "rejected"
    CONFLICT = "conflict"
    FAILED = "failed"
    """Stored, but it could not be applied."""


_REFUSED: Final = {
    Verdict.REJECTED: Receipt.REJECTED,
    Verdict.CONFLICT: Receipt.CONFLICT,
}
"""The receipts that a callback gets at each repetition."""


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
    verified: bool
    """Whether its signature was the provider's."""


class Callbacks(Repository):
    subject = "callbacks"

    def __init__(self, backend: Backend, job_writer: JobWriter) -> None:
        super().__init__(backend)
        self._job_writer = job_writer

    def receive(
        self, arrival: IncomingCallback, use: DecideCallback | Verdict
    ) -> Awaitable[Receipt]:
        """Store one callback and apply it to its job, as `Jobs.advance` does, in one transaction.

        `use` decides the change, and the callback's verdict with it; or it is the verdict of one
        that cannot be applied: REJECTED or FAILED. The checks run in this order: rejected, conflict
        (`provider_request_id` is not the job's, or another job has it), duplicate (same bytes as
        before), too many for the job, failed. What passes them all is applied.

        A verified duplicate marks the stored callback as verified, and is applied if that one was
        claimed, denied or late. A duplicate of a rejected or conflicting callback gets its receipt.
        What is stored but not applied makes the job's poll due at `at`, as does one too many, which
        is not stored. Raises `NotFound` if there is no such job, and whatever `use` raises; nothing
        is stored then.
        """
        return self._writer.urgent(
            lambda db, notice: self._receive(db, notice, arrival, use), arrival["job_id"]
        )

    async def exists(self, provider: str, job_id: str) -> bool:
        """Whether the provider's job is still stored."""
        return bool(await self._fetch("exists", provider=provider, job_id=job_id))

    def _receive(
        self,
        db: Session,
        notice: CommitNotice,
        arrival: IncomingCallback,
        use: DecideCallback | Verdict,
    ) -> Receipt:
        job_id = arrival["job_id"]
        self._job_writer.lock(db, job_id)
        parameters = {**arrival, "room": MAX_STORED_CALLBACKS}
        row = db.execute(self._sql["compare"], parameters).fetchone()
        if row is None:
            raise NotFound(job_id)
        is_conflict, is_full, seen, is_applied_again = row
        decide = Verdict.CONFLICT if is_conflict else use
        verdict = decide if isinstance(decide, Verdict) else Verdict.APPLIED
        if seen is not None and not is_applied_again:
            if arrival["verified"]:
                db.execute(self._sql["verify"], arrival)
            return _REFUSED.get(verdict) or _REFUSED.get(seen, Receipt.DUPLICATE)
        is_surplus = is_full and seen is None
        if is_surplus or isinstance(decide, Verdict):
            self._job_writer.make_poll_due(db, notice, job_id, arrival["at"])
        if is_surplus:
            return _REFUSED.get(verdict, Receipt.DUPLICATE)
        stored = {**arrival, "verdict": verdict.value}
        ((callback_id,),) = db.execute(self._sql["store"], stored).fetchall()
        if isinstance(decide, Verdict):
            return Receipt(verdict.value)
        self._job_writer.change(db, notice, job_id, partial(decide, callback_id))
        return Receipt.ACCEPTED if seen is None else Receipt.DUPLICATE
