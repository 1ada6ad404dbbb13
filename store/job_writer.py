"""Changes a job inside the caller's transaction: locks and reads it, decides, and writes the
transition.

The event, and what is counted for its user, are the transaction's last writes, because they lock
the user's log until the commit.
"""

from collections.abc import Iterator
from functools import cache
from typing import Final

from store.changes import CommitNotice
from store.errors import NotFound, ProviderIdTaken
from store.ledger import Ledger
from store.records.archive import FileState
from store.records.deliveries import DeliveryState, RelayMessage, host_of
from store.records.events import Cursor, Event
from store.records.jobs import Job
from store.records.times import Lane, Millis
from store.records.transitions import Decide, Transition
from store.repository import Backend
from store.rows import changed_values, holder_in, job_from_row, to_json
from store.session import Parameters, Session

LARGE_INPUT: Final = 64 * 1024
"""Bytes. A larger input is not kept if the job was never accepted: it would be a way to fill the
disk at no cost."""


class JobWriter:
    def __init__(self, backend: Backend, ledger: Ledger) -> None:
        self._ledger = ledger
        self._ids = backend.ids
        self._statements = backend.statements
        self._jobs = backend.statements.load("jobs")
        self._deliveries = backend.statements.load("deliveries")
        self._events = backend.statements.load("events")
        self._keys = backend.statements.load("idempotency")
        self._archive = backend.statements.load("archive")
        self._change_statement = cache(self._complete_change)

    def change(
        self, db: Session, notice: CommitNotice, job_id: str, decide: Decide
    ) -> tuple[Job, Transition | None]:
        """Read a job, call `decide`, and write the transition (see `Jobs.advance`). Returns the job
        afterwards, and the transition. Raises `NotFound` and `ProviderIdTaken`."""
        self.lock(db, job_id)
        row = db.execute(self._jobs["read-job"], {"job_id": job_id}).fetchone()
        before = job_from_row(row)
        transition = decide(before)
        if transition is None:
            return before, None
        self._check_provider_id(db, before, transition.job)
        self._write(db, notice, before, transition, is_leased=holder_in(row) is not None)
        return transition.job, transition

    def lock(self, db: Session, job_id: str) -> None:
        """Lock a job until the commit: nobody else changes it meanwhile. Raises `NotFound`."""
        if db.execute(self._jobs["lock-job"], {"job_id": job_id}).fetchone() is None:
            raise NotFound(job_id)

    def read(self, db: Session, job_id: str) -> Job:
        """A job that exists."""
        return job_from_row(db.execute(self._jobs["read-job"], {"job_id": job_id}).fetchone())

    def set_due(self, db: Session, notice: CommitNotice, job: Job, *, batch: bool = False) -> None:
        """Write the due row of a job that waits for something; a lease of it ends. `batch` counts
        when the row is created."""
        assert job.due is not None
        values = {
            "job_id": job.id,
            "lane": job.due.lane.value,
            "at": job.due.at,
            "provider": job.provider,
            "user_id": job.user_id,
            "batch": int(batch),
        }
        db.execute(self._jobs["set-due"], values)
        notice.add_due(job.due.lane, job.due.at)

    def append_event(
        self, db: Session, notice: CommitNotice, job: Job, data: bytes, stored: int = 0
    ) -> int:
        """Append the job's event to its user's log, which stays locked until the commit: a reader
        that sees an event sees all earlier ones. Counts bytes that are `stored` with it (fewer than
        0 if some were freed); returns how many are now stored for the user."""
        nonce = self._ids.nonce()
        whose = {"user_id": job.user_id, "nonce": nonce}
        row = db.execute(self._events["take-position"], whose | {"stored": stored}).fetchone()
        position, users_bytes = row
        event = Event(Cursor(position, nonce), job.id, job.updated_at, data)
        values = {
            "seq": position,
            "job_id": job.id,
            "job_seq": job.seq,
            "at": event.at,
            "data": data,
        }
        db.execute(self._events["append-event"], whose | values)
        notice.add_event(job.user_id, event)
        return int(users_bytes)

    def make_poll_due(self, db: Session, notice: CommitNotice, job_id: str, now: Millis) -> None:
        """Move the next poll of a locked job forward to `now`, if it is scheduled for later."""
        parameters = {"job_id": job_id, "now": now}
        if db.execute(self._jobs["make-poll-due"], parameters).rowcount:
            notice.add_due(Lane.POLL, now)

    def _check_provider_id(self, db: Session, before: Job, after: Job) -> None:
        """A unique index enforces it too, but says less."""
        wanted = after.provider_request_id
        if wanted is None or wanted == before.provider_request_id:
            return
        ids = {"provider": after.provider, "provider_request_id": wanted}
        if db.execute(self._jobs["find-provider-id"], ids).fetchone() is not None:
            raise ProviderIdTaken(wanted)

    def _write(
        self,
        db: Session,
        notice: CommitNotice,
        before: Job,
        transition: Transition,
        *,
        is_leased: bool,
    ) -> None:
        job = transition.job
        if changed := changed_values(before, job):
            db.execute(self._change_statement(tuple(changed)), {**changed, "id": job.id})
        self._write_due(db, notice, before, job, is_leased=is_leased)
        for verdict in transition.verdicts:
            values = {
                "callback_id": verdict.callback_id,
                "verdict": verdict.verdict.value,
                "confirmed": verdict.confirmed,
                "evidence": verdict.evidence.value,
            }
            db.execute(self._jobs["set-verdict"], values)
        for note in _notes(transition):
            db.execute(self._jobs["note"], note)
        if transition.relay is not None:
            self._enqueue(db, notice, job, transition.relay)
        elif transition.event is not None and before.error is not None:
            # This is the failed job's real outcome, for which the user gets no webhook.
            db.execute(self._deliveries["skip-replaced"], {"job_id": job.id})
        stored = 0
        if transition.whole_result is not None:
            whole = to_json(transition.whole_result)
            db.execute(self._jobs["keep-whole-result"], {"job_id": job.id, "result": whole})
            stored = len(whole)
        elif before.result is None and job.result is not None:
            stored = len(str(changed["result"]))
        if transition.drops_large_input:
            stored -= self._drop_large_input(db, job.id)
        archived = _archived_bytes(job) - _archived_bytes(before)
        counted = {"job_id": job.id, "user_id": job.user_id, "archived": archived}
        if archived:
            db.execute(self._jobs["count-archived"], counted)
        if transition.releases_idempotency_key:
            db.execute(self._keys["free-by-job"], {"job_id": job.id})
        if stored and transition.event is not None:
            db.execute(self._jobs["count-stored"], {"job_id": job.id, "stored": stored})
        if transition.frees_place:
            notice.add_due(Lane.SUBMIT, 0)
        if transition.ends_job:
            notice.ended.append(transition)
        notice.jobs.add(job.id)

        def write_last(db: Session) -> None:
            if archived:
                db.execute(self._archive["count-users-bytes"], counted)
            if transition.event is not None:
                self.append_event(db, notice, job, transition.event, stored)
            if transition.cost is not None and before.cost is not None:
                self._ledger.settle(db, job, before.cost, transition.cost)

        notice.write_last(job.user_id, write_last)

    def _drop_large_input(self, db: Session, job_id: str) -> int:
        """Remove the job's input if it is large; returns the bytes that this frees."""
        input_of = {"job_id": job_id, "most": LARGE_INPUT}
        dropped = db.execute(self._jobs["drop-large-input"], input_of).fetchone()
        return 0 if dropped is None else int(dropped[0])

    def _complete_change(self, columns: tuple[str, ...]) -> str:
        """The statement that changes these columns."""
        changes = ", ".join(f"{column} = :{column}" for column in columns)
        return self._statements.complete(self._jobs["change-job"], changes=changes)

    def _write_due(
        self,
        db: Session,
        notice: CommitNotice,
        before: Job,
        after: Job,
        *,
        is_leased: bool,
    ) -> None:
        if after.due is None:
            if before.due is not None:
                db.execute(self._jobs["clear-due"], {"job_id": after.id})
            return
        # A note is not a change: the lease holder keeps its lease.
        if after.due != before.due or (is_leased and after != before):
            self.set_due(db, notice, after)

    def _enqueue(self, db: Session, notice: CommitNotice, job: Job, relay: RelayMessage) -> None:
        assert job.webhook_url is not None, f"a relay message for {job.id} without a webhook URL"
        now = job.updated_at if relay.at is None else relay.at
        db.execute(self._deliveries["skip-waiting"], {"job_id": job.id, "now": now})
        state = DeliveryState.DISABLED if job.webhook_off else DeliveryState.PENDING
        db.execute(
            self._deliveries["enqueue"],
            {
                "id": self._ids.new("msg", now),
                "job_id": job.id,
                "user_id": job.user_id,
                "seq": job.seq,
                "status": relay.status.value,
                "final": relay.final,
                "provisional": relay.provisional,
                "url": job.webhook_url,
                "host": host_of(job.webhook_url),
                "state": state.value,
                "created_at": now,
                "next_attempt_at": None if job.webhook_off else now + relay.delay,
                "body": relay.body,
            },
        )
        if not job.webhook_off:
            notice.add_due(Lane.DELIVER, now + relay.delay)


def _notes(transition: Transition) -> Iterator[Parameters]:
    for note in transition.notes:
        yield {
            "job_id": transition.job.id,
            "at": transition.job.updated_at if note.at is None else note.at,
            "type": note.type,
            "detail": to_json(note.detail),
        }


def _archived_bytes(job: Job) -> int:
    return sum(file.bytes or 0 for file in job.archive if file.state is FileState.STORED)
