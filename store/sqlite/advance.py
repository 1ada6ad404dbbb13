"""What one change of a job writes: the row, what is due, the event, the relay message, the rest.

All of it runs inside the transaction of whoever calls.
"""

import sqlite3
from dataclasses import dataclass
from urllib.parse import urlsplit

from store.contract import Changes, Decide
from store.errors import NotFound, ProviderIdTaken
from store.ids import Entropy, Ids
from store.records import DeliveryState, Job, Lane, Move, RelayMessage
from store.sqlite import sql
from store.sqlite.readers import Row
from store.sqlite.rows import (
    HOLDER,
    MUTABLE,
    MUTABLE_COLUMNS,
    job_from_row,
    mutable_values,
    to_json,
)

_JOBS = sql.load("jobs")
_EVENTS = sql.load("events")
_DELIVERIES = sql.load("deliveries")
_KEYS = sql.load("idempotency")

_NONCE_BYTES = 6


@dataclass(frozen=True, slots=True)
class Randomness:
    """Where nonces and the ids of messages come from. Used on the writer alone."""

    entropy: Entropy
    ids: Ids

    def nonce(self) -> str:
        return self.entropy(_NONCE_BYTES).hex()


def read_job(db: sqlite3.Connection, job_id: str) -> Job:
    """The job as it stands in the transaction. Raises `NotFound`."""
    row = db.execute(_JOBS["read-job"], {"job_id": job_id}).fetchone()
    if row is None:
        raise NotFound(job_id)
    return job_from_row(row)


def advance(
    db: sqlite3.Connection,
    changes: Changes,
    job_id: str,
    decide: Decide,
    random: Randomness,
    applying: int | None = None,
) -> tuple[Job, Move | None]:
    """Read the job, ask `decide`, and write its move whole (see `Jobs.advance`)."""
    row = db.execute(_JOBS["read-job"], {"job_id": job_id}).fetchone()
    if row is None:
        raise NotFound(job_id)
    before = job_from_row(row)
    if applying is not None and not db.execute(_JOBS["is-waiting"], (applying,)).fetchone():
        return before, None
    move = decide(before)
    if move is None:
        return before, None
    job = move.job
    _change_row(db, job, row[MUTABLE])
    if job.due is None:
        if before.due is not None:
            db.execute(_JOBS["clear-due"], (job_id,))
    else:
        if job.due != before.due or row[HOLDER] is not None:
            set_due(db, job)
        changes.due.add(job.due.lane)
    if move.event is not None:
        append_event(db, changes, job, move.event, random)
    if move.relay is not None:
        _enqueue(db, changes, job, move.relay, random)
    for ruling in move.rulings:
        db.execute(
            _JOBS["rule"],
            (
                ruling.verdict.value,
                ruling.confirmed,
                ruling.evidence.value,
                ruling.callback_id,
                job_id,
            ),
        )
    for note in move.notes:
        at = job.updated_at if note.at is None else note.at
        db.execute(_JOBS["note"], (job_id, at, note.type, to_json(note.detail)))
    if move.frees_key:
        db.execute(_KEYS["free-by-job"], {"job_id": job_id})
    changes.jobs.add(job_id)
    return job, move


def _change_row(db: sqlite3.Connection, job: Job, before: Row) -> None:
    changed = {
        column: new
        for column, old, new in zip(MUTABLE_COLUMNS, before, mutable_values(job), strict=True)
        if new != old
    }
    if not changed:
        return
    changes = ", ".join(f"{column} = ?" for column in changed)
    try:
        db.execute(_JOBS["change-job"].format(changes=changes), (*changed.values(), job.id))
    except sqlite3.IntegrityError as error:
        # The one unique thing that the statement writes is the provider's id.
        if error.sqlite_errorcode == sqlite3.SQLITE_CONSTRAINT_UNIQUE:
            raise ProviderIdTaken(job.provider_request_id) from error
        raise


def set_due(db: sqlite3.Connection, job: Job) -> None:
    """Write what the job waits for, held by nobody."""
    assert job.due is not None
    db.execute(_JOBS["set-due"], (job.id, job.due.lane.value, job.due.at))


def append_event(
    db: sqlite3.Connection, changes: Changes, job: Job, data: bytes, random: Randomness
) -> None:
    """Write an event of the job at the next place of its user's log."""
    nonce = random.nonce()
    ((seq,),) = db.execute(_EVENTS["take-place"], (nonce, job.user_id)).fetchall()
    db.execute(
        _EVENTS["append-event"],
        (job.user_id, seq, nonce, job.id, job.seq, job.updated_at, data),
    )
    changes.jobs.add(job.id)
    changes.users.add(job.user_id)


def _enqueue(
    db: sqlite3.Connection, changes: Changes, job: Job, relay: RelayMessage, random: Randomness
) -> None:
    if job.webhook_url is None:
        raise ValueError(f"a relay message of {job.id}, which has no address")
    now = job.updated_at
    db.execute(_DELIVERIES["skip-waiting"], {"job_id": job.id, "now": now})
    state = DeliveryState.DISABLED if job.webhook_off else DeliveryState.PENDING
    db.execute(
        _DELIVERIES["enqueue"],
        (
            random.ids.new("msg", now),
            job.id,
            job.user_id,
            job.seq,
            relay.status.value,
            relay.final,
            relay.self_declared,
            job.webhook_url,
            _host(job.webhook_url),
            state.value,
            now,
            None if job.webhook_off else now + relay.delay,
            relay.body,
        ),
    )
    changes.relay = True


def _host(url: str) -> str:
    """`name:port`, by which attempts are limited; one spelling for each."""
    parts = urlsplit(url)
    name = (parts.hostname or "").rstrip(".")
    port = parts.port or (80 if parts.scheme == "http" else 443)
    return f"{name}:{port}"


def poll_at_once(db: sqlite3.Connection, changes: Changes, job_id: str, now: int) -> None:
    """Bring the job's next poll forward to `now`, where it has one that is later."""
    if db.execute(_JOBS["poll-at-once"], {"job_id": job_id, "now": now}).rowcount:
        changes.due.add(Lane.POLL)
