"""What one change of a job writes: the row, what is due, the event, the relay message, the rest.

All of it runs inside the transaction of whoever calls.
"""

from urllib.parse import urlsplit

from store.contract import Decide
from store.errors import NotFound, ProviderIdTaken
from store.records import DeliveryState, Job, Lane, Move, RelayMessage
from store.relational.backend import Randomness
from store.relational.rows import (
    HOLDER,
    MUTABLE,
    MUTABLE_COLUMNS,
    job_from_row,
    mutable_values,
    to_json,
)
from store.relational.session import Effects, NewEvent, Parameters, Row, Session
from store.relational.statements import Statements


def due_values(job: Job) -> Parameters:
    """What a job waits for, as the parameters of `set-due`."""
    assert job.due is not None
    return {"job_id": job.id, "lane": job.due.lane.value, "at": job.due.at}


class Changer:
    """Changes jobs, within transactions that others open."""

    def __init__(self, statements: Statements, random: Randomness) -> None:
        self._statements = statements
        self._jobs = statements.load("jobs")
        self._deliveries = statements.load("deliveries")
        self._keys = statements.load("idempotency")
        self._random = random

    def advance(
        self,
        session: Session,
        effects: Effects,
        job_id: str,
        decide: Decide,
        applying: int | None = None,
    ) -> tuple[Job, Move | None]:
        """Read the job, ask `decide`, and write its move whole (see `Jobs.advance`)."""
        row = session.execute(self._jobs["read-job"], {"job_id": job_id}).fetchone()
        if row is None:
            raise NotFound(job_id)
        before = job_from_row(row)
        if applying is not None and not self._is_waiting(session, applying):
            return before, None
        move = decide(before)
        if move is None:
            return before, None
        job = move.job
        self._change_row(session, job, row[MUTABLE])
        if job.due is None:
            if before.due is not None:
                session.execute(self._jobs["clear-due"], {"job_id": job_id})
        else:
            if job.due != before.due or row[HOLDER] is not None:
                self.set_due(session, job)
            effects.due.add(job.due.lane)
        if move.event is not None:
            self.append_event(effects, job, move.event)
        if move.relay is not None:
            self._enqueue(session, effects, job, move.relay)
        self._note(session, move)
        if move.frees_key:
            session.execute(self._keys["free-by-job"], {"job_id": job_id})
        effects.jobs.add(job_id)
        return job, move

    def set_due(self, session: Session, job: Job) -> None:
        """Write what the job waits for, held by nobody."""
        session.execute(self._jobs["set-due"], due_values(job))

    def append_event(self, effects: Effects, job: Job, data: bytes) -> None:
        """Write an event of the job at the next place of its user's log."""
        effects.events.append(
            NewEvent(job.user_id, self._random.nonce(), job.id, job.seq, job.updated_at, data)
        )
        effects.jobs.add(job.id)
        effects.users.add(job.user_id)

    def poll_at_once(self, session: Session, effects: Effects, job_id: str, now: int) -> None:
        """Bring the job's next poll forward to `now`, where it has one that is later."""
        parameters = {"job_id": job_id, "now": now}
        if session.execute(self._jobs["poll-at-once"], parameters).rowcount:
            effects.due.add(Lane.POLL)

    def _is_waiting(self, session: Session, callback_id: int) -> bool:
        found = session.execute(self._jobs["is-waiting"], {"callback_id": callback_id})
        return found.fetchone() is not None

    def _change_row(self, session: Session, job: Job, before: Row) -> None:
        changed = {
            column: new
            for column, old, new in zip(MUTABLE_COLUMNS, before, mutable_values(job), strict=True)
            if new != old
        }
        if not changed:
            return
        if changed.get("provider_request_id") is not None:
            # Asked first, although an index has the last word: a statement that fails ends the
            # transaction, and with it everybody else's writes.
            names = {"provider": job.provider, "provider_request_id": job.provider_request_id}
            if session.execute(self._jobs["read-provider-id-holder"], names).fetchone():
                raise ProviderIdTaken(job.provider_request_id)
        changes = ", ".join(f"{column} = :{column}" for column in changed)
        statement = self._jobs["change-job"].format(changes=self._statements.translate(changes))
        session.execute(statement, {**changed, "id": job.id})

    def _note(self, session: Session, move: Move) -> None:
        job = move.job
        for ruling in move.rulings:
            session.execute(
                self._jobs["rule"],
                {
                    "verdict": ruling.verdict.value,
                    "confirmed": ruling.confirmed,
                    "evidence": ruling.evidence.value,
                    "callback_id": ruling.callback_id,
                    "job_id": job.id,
                },
            )
        for note in move.notes:
            session.execute(
                self._jobs["note"],
                {
                    "job_id": job.id,
                    "at": job.updated_at if note.at is None else note.at,
                    "type": note.type,
                    "detail": to_json(note.detail),
                },
            )

    def _enqueue(self, session: Session, effects: Effects, job: Job, relay: RelayMessage) -> None:
        if job.webhook_url is None:
            raise ValueError(f"a relay message of {job.id}, which has no address")
        now = job.updated_at
        session.execute(self._deliveries["skip-waiting"], {"job_id": job.id, "now": now})
        state = DeliveryState.DISABLED if job.webhook_off else DeliveryState.PENDING
        session.execute(
            self._deliveries["enqueue"],
            {
                "id": self._random.ids.new("msg", now),
                "job_id": job.id,
                "user_id": job.user_id,
                "seq": job.seq,
                "status": relay.status.value,
                "final": relay.final,
                "self_declared": relay.self_declared,
                "url": job.webhook_url,
                "host": _host(job.webhook_url),
                "state": state.value,
                "created_at": now,
                "next_attempt_at": None if job.webhook_off else now + relay.delay,
                "body": relay.body,
            },
        )
        effects.relay = True


def _host(url: str) -> str:
    """`name:port`, by which attempts are limited; one spelling for each."""
    parts = urlsplit(url)
    name = (parts.hostname or "").rstrip(".")
    port = parts.port or (80 if parts.scheme == "http" else 443)
    return f"{name}:{port}"
