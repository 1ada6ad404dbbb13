"""The inbox: the provider's callbacks, stored raw before they are applied."""

from collections.abc import Awaitable, Sequence
from enum import StrEnum
from typing import TypedDict

from store.changes import Effects
from store.errors import NotFound
from store.job_writer import Applied, Change, JobWriter, rounds
from store.records.callbacks import Verdict
from store.records.moves import DecideCallbacks
from store.records.times import Lease, Millis
from store.repository import Backend, Queue
from store.session import Batchable, Done, Failed, NotBatchable, Outcome, Session
from store.sql import run_rows

MAX_STORED_CALLBACKS = 200
"""Callbacks stored per job."""

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


_ACCEPTED = Done(Receipt.ACCEPTED)
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
        return self._writer.urgent(Batchable(self._receive, arrival))

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
        `most` callbacks and at most 256 KiB of bodies, but at least one callback; none if other
        jobs of the batch have used up its 1 MiB (`Applied.has_more`). If the job is due for
        confirmation afterwards, `lease` is written with its due row, for the caller that makes the
        status call. Raises `NotFound`, `ProviderIdTaken`, and `NotApplied` for anything that
        `decide` raises.
        """
        enqueue = self._writer.normal if final else self._writer.bulk
        change = Change(job_id, decide, most, lease)
        return await enqueue(Batchable(self._job_writer.change, change, jobs=(job_id,)))

    async def jobs_waiting(self, limit: int) -> list[str]:
        """Ids of the jobs that the `limit` longest-waiting callbacks belong to."""
        rows = await self._fetch("jobs-waiting", limit=limit)
        return list(dict.fromkeys(job_id for (job_id,) in rows))

    async def count_failure(self, callback_id: int, now: Millis) -> int:
        """Count a failed application. After the third, the callback is `FAILED` and its job's poll
        is due at `now`. Returns the count. Raises `NotFound` if it is no longer waiting."""

        def work(db: Session, effects: Effects) -> int:
            failed = {"callback_id": callback_id, "tries": APPLY_TRIES}
            row = db.execute(self._sql["count-failure"], failed).fetchone()
            if row is None:
                raise NotFound(f"callback {callback_id}")
            job_id, tries = row
            if tries >= APPLY_TRIES:
                self._job_writer.make_poll_due(db, effects, job_id, now)
            return int(tries)

        return await self._writer.normal(work)

    def _receive(
        self, db: Session, effects: Effects, arrivals: Sequence[IncomingCallback]
    ) -> Sequence[Outcome[Receipt]]:
        accepted: set[int] = set()
        readable = {
            index: arrival["job_id"]
            for index, arrival in enumerate(arrivals)
            if arrival["readable"]
        }
        for indexes in rounds(readable):
            rows = [arrivals[index] for index in indexes]
            results = run_rows(db, self._sql["receive"], rows, room=MAX_STORED_CALLBACKS)
            inserted = sum(result.rowcount for result in results)
            if inserted == len(indexes):
                accepted.update(indexes)
                continue
            # Not all are new. PostgreSQL returns those that are; on SQLite, running them one by one
            # costs little.
            returned = {job_id for result in results for (job_id,) in result.fetchall()}
            if len(returned) < inserted:
                raise NotBatchable
            accepted.update(index for index in indexes if arrivals[index]["job_id"] in returned)
        for index in sorted(accepted):
            effects.add_callback(arrivals[index]["job_id"], final=arrivals[index]["final"])
        return [
            _ACCEPTED if index in accepted else self._classify(db, effects, arrival)
            for index, arrival in enumerate(arrivals)
        ]

    def _classify(
        self, db: Session, effects: Effects, arrival: IncomingCallback
    ) -> Outcome[Receipt]:
        """Classify a callback that was not inserted. One with a new body is stored if there is
        room, and in any case makes a poll due."""
        parameters = {**arrival, "room": MAX_STORED_CALLBACKS}
        row = db.execute(self._sql["classify"], parameters).fetchone()
        if row is None:
            return Failed(NotFound(arrival["job_id"]))
        contested, seen, stored = row
        if not arrival["readable"]:
            verdict, receipt = Verdict.REJECTED, Receipt.REJECTED
        elif contested:
            verdict, receipt = Verdict.CONFLICT, Receipt.CONFLICT
        else:
            verdict, receipt = Verdict.WAITING, Receipt.DUPLICATE
        if seen is not None:
            if arrival["verified"]:
                self._verify(db, effects, arrival)
            return Done(_RECEIPT_AGAIN.get(Verdict(seen), receipt))
        if stored < MAX_STORED_CALLBACKS:
            db.execute(self._sql["insert-with-verdict"], {**parameters, "verdict": verdict.value})
        else:
            receipt = Receipt.SURPLUS
        self._job_writer.make_poll_due(db, effects, arrival["job_id"], arrival["at"])
        return Done(receipt)

    def _verify(self, db: Session, effects: Effects, arrival: IncomingCallback) -> None:
        """Mark the stored callback with the same bytes as verified."""
        row = db.execute(self._sql["verify"], arrival).fetchone()
        if row is not None and row[0] == Verdict.WAITING:
            effects.add_callback(arrival["job_id"], final=arrival["final"])
