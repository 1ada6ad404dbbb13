"""Deletes finished jobs after the retention period, inside the writer's transactions."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from store.records.times import Millis
from store.session import Row, Session
from store.sql import Statements

MAX_OVERDUE: Millis = 7 * 24 * 3_600_000
"""How long beyond the retention period a delivery may be due before its job is removed anyway. A
host that cannot be reached gets one attempt a minute, so of many messages some are never tried."""
EXAMINED = 500
"""Maximum number of candidates per batch; all of them may have something pending."""
EVENTS_AT_ONCE = 100
"""A batch ends after this many events; a job has about twice as many other rows."""
BYTES_AT_ONCE = 8 * 1024 * 1024
"""A batch ends after this many bytes of callbacks, webhooks and events."""
FORGOTTEN_AT_ONCE = 1_000
"""Removed positions that a batch forgets for each user. Those left over are harmless: the user's
next batches forget them."""

_AFTER_ALL = 2**63 - 1

Position: TypeAlias = tuple[Millis, str]
"""A job's end time and id."""
START: Position = (0, "")


class Removed(NamedTuple):
    """The result of one batch."""

    jobs: int
    after: Position | None
    """Where the next batch continues; None if there are no more candidates."""


class Retention:
    """The part of `Jobs` that deletes."""

    def __init__(self, statements: Statements) -> None:
        self._sql = statements.load("jobs")
        self._events = statements.load("events")
        self._archive = statements.load("archive")

    def remove(self, db: Session, done_before: Millis, limit: int, after: Position) -> Removed:
        """See `Jobs.remove_finished`."""
        done_at, last_id = after
        position = {"done_before": done_before, "done_at": done_at, "id": last_id}
        examined = {**position, "examined": EXAMINED}
        pending = {"overdue_since": done_before - MAX_OVERDUE, "limit": limit}
        found = db.execute(self._sql["list-removable"], examined | pending).fetchall()
        if len(found) == limit:
            last = found[-1]
        else:
            last = db.execute(self._sql["read-last-examined"], examined).fetchone()
        events: list[Row] = []
        size = 0
        for number, ended in enumerate(found, start=1):
            job = {"job_id": ended[1]}
            events += db.execute(self._sql["list-removed-positions"], job).fetchall()
            size += db.execute(self._sql["size-of-job"], job).fetchone()[0]
            db.execute(self._archive["remember-files"], job)
            db.execute(self._sql["remove-job"], job)
            if len(events) >= EVENTS_AT_ONCE or size >= BYTES_AT_ONCE:
                found, last = found[:number], ended
                break
        self._record(db, events)
        return Removed(len(found), last)

    def _record(self, db: Session, events: Sequence[Row]) -> None:
        """Record how far each user's log was removed, and the removed positions after a kept event:
        a job's stream can still resume there."""
        positions: dict[int, list[tuple[int, str]]] = defaultdict(list)
        for user_id, seq, nonce in events:
            positions[user_id].append((seq, nonce))
        for user_id, removed in positions.items():
            whose = {"user_id": user_id}
            # Once per batch: while an old snapshot is open, PostgreSQL has to step over the dead
            # rows of all events that were removed since then.
            ((oldest,),) = db.execute(self._events["read-oldest-kept"], whose).fetchall()
            oldest_kept = _AFTER_ALL if oldest is None else oldest
            for seq, nonce in removed:
                if seq > oldest_kept:
                    event = {**whose, "seq": seq, "nonce": nonce}
                    db.execute(self._events["keep-removed-position"], event)
            forgotten = {"oldest_kept": oldest_kept, "limit": FORGOTTEN_AT_ONCE}
            db.execute(self._events["forget-removed-positions"], whose | forgotten)
        # Last: this locks the users' rows, for which every write of their events waits.
        for user_id, removed in sorted(positions.items()):
            last_seq, _ = max(removed)
            db.execute(self._events["mark-removed"], {"user_id": user_id, "seq": last_seq})
