"""Deletes finished jobs after the retention period, inside the writer's transactions."""

from typing import NamedTuple, TypeAlias

from store.records.times import Millis
from store.session import Session
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
        removed_up_to: dict[int, int] = {}
        events = size = 0
        for number, ended in enumerate(found, start=1):
            job = {"job_id": ended[1]}
            user_id, its_events, seq, its_size = db.execute(self._sql["weigh-job"], job).fetchone()
            removed_up_to[user_id] = max(removed_up_to.get(user_id, 0), seq)
            events += its_events
            size += its_size
            db.execute(self._archive["remember-files"], job)
            db.execute(self._sql["remove-job"], job)
            if events >= EVENTS_AT_ONCE or size >= BYTES_AT_ONCE:
                found, last = found[:number], ended
                break
        # Last: this locks the users' rows, for which every write of their events waits.
        for user_id, seq in sorted(removed_up_to.items()):
            db.execute(self._events["mark-removed"], {"user_id": user_id, "seq": seq})
        return Removed(len(found), last)
