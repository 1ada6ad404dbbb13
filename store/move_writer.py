"""Writes decided moves: job rows, due rows, events, relay messages, verdicts and notes.

The moves of several jobs share one statement per table. SQLite's driver releases the GIL several
times in each statement, and under load waits for the event loop each time; PostgreSQL needs a round
trip. Everything runs inside the caller's transaction.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

from store.changes import Effects, NewEvent
from store.records.callbacks import CallbackVerdict
from store.records.deliveries import DeliveryState, RelayMessage, normal_host
from store.records.jobs import Job
from store.records.moves import Move
from store.records.times import Lane, Lease
from store.repository import Backend
from store.rows import MUTABLE, changed_values, to_json
from store.session import Parameters, Session
from store.sql import run_rows

_TYPES = {column.name: column.type for column in MUTABLE}


@dataclass(frozen=True, slots=True)
class Decided:
    """A move to be written."""

    before: Job
    move: Move
    holder: str | None
    """Who held the lease in the job's due row before the move."""
    lease: Lease | None
    """The lease for the caller, if `is_due_anew`."""

    @property
    def is_due_anew(self) -> bool:
        """Whether the move makes the job due for confirmation. If it was before, its next status
        call waits for its time, such as a Retry-After."""
        due = self.move.job.due
        return due is not None and due.lane is Lane.CONFIRM and due != self.before.due

    @property
    def renews_lease(self) -> bool:
        """Whether the caller, which has the lease and may be making the status call, keeps it."""
        due = self.move.job.due
        is_its_own = self.lease is not None and self.holder == self.lease.holder
        return is_its_own and due is not None and due.lane is Lane.CONFIRM

    @property
    def new_provider_id(self) -> str | None:
        """The job's provider_request_id, if the move changes it."""
        after = self.move.job.provider_request_id
        return after if after != self.before.provider_request_id else None


def due_values(job: Job, lease: Lease | None = None) -> Parameters:
    """A job's due row, as the parameters of `set-due`."""
    assert job.due is not None
    return {
        "job_id": job.id,
        "lane": job.due.lane.value,
        "at": job.due.at,
        "provider": job.provider,
        "user_id": job.user_id,
        "holder": lease and lease.holder,
        "until": lease and lease.until,
    }


class MoveWriter:
    def __init__(self, backend: Backend) -> None:
        self._ids = backend.ids
        self._statements = backend.statements
        self._jobs = backend.statements.load("jobs")
        self._deliveries = backend.statements.load("deliveries")
        self._keys = backend.statements.load("idempotency")
        self._change_statements = cache(self._complete_change)

    def write(self, session: Session, effects: Effects, decided: Sequence[Decided]) -> None:
        """Write moves of different jobs."""
        self._change_rows(session, decided)
        self._write_due(session, effects, decided)
        self._write_verdicts(session, [each for one in decided for each in one.move.verdicts])
        notes = [line for one in decided for line in _notes(one.move)]
        run_rows(session, self._jobs["note"], notes)
        for each in decided:
            job, move = each.move.job, each.move
            if move.event is not None:
                self.append_events(effects, job, [move.event])
            if move.relay is not None:
                self._enqueue(session, effects, job, move.relay)
            elif move.event is not None and each.before.error is not None:
                # This is the failed job's real outcome, for which the user gets no webhook.
                session.execute(self._deliveries["skip-replaced"], {"job_id": job.id})
            if move.whole_result is not None:
                whole = {"job_id": job.id, "result": to_json(move.whole_result)}
                session.execute(self._jobs["keep-whole-result"], whole)
            if move.frees_key:
                session.execute(self._keys["free-by-job"], {"job_id": job.id})
            effects.jobs.add(job.id)

    def append_events(self, effects: Effects, job: Job, events: Sequence[bytes]) -> None:
        """Record the job's latest events in `effects`; the end of the transaction appends them to
        its user's log."""
        for seq, data in enumerate(events, job.seq - len(events) + 1):
            effects.events.append(
                NewEvent(job.user_id, self._ids.nonce(), job.id, seq, job.updated_at, data)
            )
        effects.jobs.add(job.id)
        effects.users.add(job.user_id)

    def make_poll_due(self, session: Session, effects: Effects, job_id: str, now: int) -> None:
        """Move the job's next poll forward to `now`, if it is scheduled for later."""
        parameters = {"job_id": job_id, "now": now}
        if session.execute(self._jobs["make-poll-due"], parameters).rowcount:
            effects.add_due(Lane.POLL, now)

    def _change_rows(self, session: Session, decided: Sequence[Decided]) -> None:
        by_columns: dict[tuple[str, ...], list[Parameters]] = {}
        for each in decided:
            if changed := changed_values(each.before, each.move.job):
                rows = by_columns.setdefault(tuple(changed), [])
                rows.append({**changed, "id": each.before.id})
        for columns, rows in by_columns.items():
            for_one, for_several = self._change_statements(columns)
            if len(rows) == 1:
                session.execute(for_one, rows[0])
            else:
                run_rows(session, for_several, rows)

    def _complete_change(self, columns: tuple[str, ...]) -> tuple[str, str]:
        """The statements that change these columns, for one job and for several."""
        values = ", ".join(f"CAST(:{column} AS {_TYPES[column]})" for column in columns)
        own = ", ".join(f"{column} = :{column}" for column in columns)
        fresh = ", ".join(f"{column} = fresh.column{n}" for n, column in enumerate(columns, 2))
        complete = self._statements.complete
        for_one = complete(self._jobs["change-job"], changes=own)
        return for_one, complete(self._jobs["change-jobs"], changes=fresh, values=values)

    def _write_due(self, session: Session, effects: Effects, decided: Sequence[Decided]) -> None:
        fresh, cleared = [], []
        for each in decided:
            before, after = each.before.due, each.move.job.due
            if after is None:
                if before is not None:
                    cleared.append({"job_id": each.before.id})
                continue
            lease = each.lease if each.is_due_anew or each.renews_lease else None
            # A note is not a change: the lease holder keeps its lease.
            ends_lease = each.holder is not None and each.move.job != each.before
            if after != before or ends_lease or lease is not None:
                fresh.append(due_values(each.move.job, lease))
            # The holder may die or never learn of the commit, so notify of the lease's end.
            effects.add_due(after.lane, after.at if lease is None else lease.until)
        run_rows(session, self._jobs["set-due"], fresh)
        run_rows(session, self._jobs["clear-due"], cleared)

    def _write_verdicts(self, session: Session, verdicts: Sequence[CallbackVerdict]) -> None:
        by_verdict: dict[tuple[str, bool | None, str], list[Parameters]] = {}
        for each in verdicts:
            key = each.verdict.value, each.confirmed, each.evidence.value
            by_verdict.setdefault(key, []).append({"callback_id": each.callback_id})
        for (verdict, confirmed, evidence), rows in by_verdict.items():
            shared = {"verdict": verdict, "confirmed": confirmed, "evidence": evidence}
            run_rows(session, self._jobs["set-verdict"], rows, **shared)

    def _enqueue(self, session: Session, effects: Effects, job: Job, relay: RelayMessage) -> None:
        assert job.webhook_url is not None, f"a relay message for {job.id} without a webhook URL"
        now = job.updated_at if relay.at is None else relay.at
        session.execute(self._deliveries["skip-waiting"], {"job_id": job.id, "now": now})
        state = DeliveryState.DISABLED if job.webhook_off else DeliveryState.PENDING
        session.execute(
            self._deliveries["enqueue"],
            {
                "id": self._ids.new("msg", now),
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


def _notes(move: Move) -> Iterator[Parameters]:
    for note in move.notes:
        yield {
            "job_id": move.job.id,
            "at": move.job.updated_at if note.at is None else note.at,
            "type": note.type,
            "detail": to_json(note.detail),
        }


def _host(url: str) -> str:
    """`name:port` in normal form, for the per-host limits."""
    parts = urlsplit(url)
    name = normal_host(parts.hostname or "")
    port = parts.port or (80 if parts.scheme == "http" else 443)
    return f"{name}:{port}"
