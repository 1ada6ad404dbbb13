"""Jobs and their schedule."""

from functools import partial

from store.changes import CommitNotice
from store.errors import StorageFull
from store.idempotency import IdempotencyKey, Replay, StoredResponse, take_key
from store.job_reads import JobReads
from store.job_writer import JobWriter
from store.ledger import Ledger
from store.records.jobs import Job
from store.records.times import Millis
from store.records.transitions import Decide, NewJob, Transition
from store.repository import Backend
from store.rows import TABLE_COLUMNS, job_to_row
from store.session import Session


class Jobs(JobReads):
    def __init__(self, backend: Backend, job_writer: JobWriter, ledger: Ledger) -> None:
        super().__init__(backend)
        self._keys = backend.statements.load("idempotency")
        self._job_writer = job_writer
        self._ledger = ledger
        columns = (*TABLE_COLUMNS, "stored_bytes")
        self._create_job = backend.statements.complete(
            self._sql["create-job"],
            columns=", ".join(columns),
            values=", ".join(f":{name}" for name in columns),
        )

    async def create(
        self,
        new: NewJob,
        idempotency: IdempotencyKey | None = None,
        response: StoredResponse | None = None,
        *,
        user_storage: int | None = None,
    ) -> Job | Replay:
        """Write the job, its input, its event and its due row in one transaction.

        With an idempotency key, the key is written in the same transaction, with `response` if the
        first response is already known (the key is then not in use). If the key exists, `Replay` is
        returned and nothing is written. Raises `KeyReused` if its fingerprint differs, and
        `KeyInUse` while its first request is still waiting. A key that expired before the
        new one's `sent_at` counts as absent.

        `user_storage` is the maximum number of bytes of inputs and results of the user's jobs.
        Raises `StorageFull` if this job's input exceeds it, and `BudgetExceeded` or `NoPrice` if
        the user's budget forbids it.
        """
        job = new.job

        def work(db: Session, notice: CommitNotice) -> Job | Replay:
            replay = idempotency and take_key(db, self._keys, job, idempotency, response)
            if replay:
                return replay
            size = self._write_new(db, new)
            self._job_writer.set_due(db, notice, job, batch=new.batch)
            notice.write_last(job.user_id, partial(write_last, notice, size))
            return job

        def write_last(notice: CommitNotice, size: int, db: Session) -> None:
            stored = self._job_writer.append_event(db, notice, job, new.event, size)
            if user_storage is not None and stored > user_storage:
                raise StorageFull(job.user)
            self._ledger.reserve(db, job)

        return await self._writer.urgent(work, job.user_id)

    async def advance(
        self, job_id: str, decide: Decide, *, client_waits: bool = False
    ) -> tuple[Job, Transition | None]:
        """Change a job. Only this and `Callbacks.receive` write transitions; other methods change
        only leases, due times and `webhook_off` (`Deliveries.settle`, `retry`), or remove the job.

        Opens the transaction, reads the job, calls `decide`, and writes the whole transition: job,
        due row, event (numbered in the user's log), relay message, verdicts, notes, whole result,
        and whether its idempotency key is free again. Returns the job afterwards, and the
        transition. A new relay message marks the job's pending ones as skipped: updates always,
        final ones only if provisional, but never one that is in flight (see `settle`) or a
        requested retry that has not been attempted yet. The new message is due after its `delay`,
        or created `disabled` if `webhook_off`. `client_waits` gives the write priority.

        Raises `NotFound`, and `ProviderIdTaken` if the transition gives the job an id that another
        job of the provider has.
        """
        enqueue = self._writer.urgent if client_waits else self._writer.normal
        return await enqueue(
            lambda db, notice: self._job_writer.change(db, notice, job_id, decide), job_id
        )

    async def make_poll_due(self, job_id: str, now: Millis) -> None:
        """Move the job's next poll forward to `now`, if it is scheduled for later. During a status
        call, the new due time takes effect when that call ends."""

        def work(db: Session, notice: CommitNotice) -> None:
            db.execute(self._sql["lock-job"], {"job_id": job_id})
            self._job_writer.make_poll_due(db, notice, job_id, now)

        await self._writer.normal(work, job_id)

    # --- within a transaction -------------------------------------------------------------------

    def _write_new(self, db: Session, new: NewJob) -> int:
        """Write the job, its input and metadata; returns the size of its input."""
        job, text = new.job, new.input
        db.execute(self._create_job, job_to_row(job) | {"stored_bytes": len(text)})
        db.execute(self._sql["create-input"], {"job_id": job.id, "input": text})
        for name, value in (job.metadata or {}).items():
            member = {"user_id": job.user_id, "job_id": job.id, "name": name, "value": value}
            db.execute(self._sql["create-metadata"], member)
        return len(text)
