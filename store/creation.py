"""Creates jobs, a batch at a time, inside the caller's transaction."""

from collections.abc import Sequence
from typing import TypeAlias

from store.errors import KeyHeld, KeyReused
from store.idempotency import take_key
from store.moves import MoveWriter, due_values
from store.records import Answer, IdempotencyKey, Job, Lease, NewJob, Replay
from store.rows import row_of, to_json
from store.session import Done, Effects, Failed, Outcome, Session
from store.statements import MultiRowStatement, Statements

Creation: TypeAlias = tuple[NewJob, IdempotencyKey | None, Answer | None, Lease | None]
"""The parameters of `Jobs.create`."""


class JobCreator:
    """Creates jobs within the caller's transactions."""

    def __init__(self, statements: Statements, moves: MoveWriter) -> None:
        sql = statements.load("jobs")
        self._keys = statements.load("idempotency")
        self._moves = moves
        self._new_jobs = MultiRowStatement(sql["create-job"])
        self._new_inputs = MultiRowStatement(sql["create-input"])
        self._new_metadata = MultiRowStatement(sql["create-metadata"])
        self._new_due = MultiRowStatement(sql["set-due"])

    def create(
        self, db: Session, effects: Effects, creations: Sequence[Creation]
    ) -> Sequence[Outcome[Job | Replay]]:
        """Create each job (see `Jobs.create`)."""
        outcomes: list[Outcome[Job | Replay]] = []
        made: list[tuple[NewJob, Lease | None]] = []
        for new, idempotency, answer, lease in creations:
            try:
                replay = idempotency and take_key(db, self._keys, new.job, idempotency, answer)
            except (KeyHeld, KeyReused) as refusal:
                outcomes.append(Failed(refusal))
                continue
            outcomes.append(Done(replay or new.job))
            if not replay:
                made.append((new, lease))
        self._write(db, [new for new, _ in made])
        due = [due_values(new.job, lease) for new, lease in made if new.job.due is not None]
        self._new_due.run(db, due)
        for new, lease in made:
            if new.job.due is not None:
                # The holder may never learn of the commit, so the lease's end is announced too.
                at = new.job.due.at if lease is None else lease.until
                effects.will_be_due(new.job.due.lane, at)
            self._moves.append_event(effects, new.job, new.event)
        return outcomes

    def _write(self, db: Session, made: Sequence[NewJob]) -> None:
        rows = [{**row_of(new.job), "trace_context": new.trace_context} for new in made]
        inputs = [{"job_id": new.job.id, "input": to_json(new.input)} for new in made]
        metadata = [
            {"user_id": new.job.user_id, "job_id": new.job.id, "name": name, "value": value}
            for new in made
            for name, value in (new.job.metadata or {}).items()
        ]
        self._new_jobs.run(db, rows)
        self._new_inputs.run(db, inputs)
        self._new_metadata.run(db, metadata)
