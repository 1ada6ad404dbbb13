"""The removal of what is old."""

import sqlite3
from collections import defaultdict

from store.records import Millis
from store.sqlite import sql

_JOBS = sql.load("jobs")
_EVENTS = sql.load("events")


def remove_finished(db: sqlite3.Connection, done_before: Millis, limit: int) -> int:
    """See `Jobs.remove_finished`. The logs of the users remember what they have lost."""
    jobs = db.execute(
        _JOBS["list-removable"], {"done_before": done_before, "limit": limit}
    ).fetchall()
    places: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for (job_id,) in jobs:
        for user_id, seq, nonce in db.execute(_JOBS["list-removed-places"], {"job_id": job_id}):
            places[user_id].append((seq, nonce))
    db.executemany(_JOBS["remove-job"], [{"job_id": job_id} for (job_id,) in jobs])
    for user_id, removed in places.items():
        db.execute(_EVENTS["mark-removed"], {"user_id": user_id, "seq": max(removed)[0]})
        db.executemany(
            _EVENTS["keep-removed-place"],
            [{"user_id": user_id, "seq": seq, "nonce": nonce} for seq, nonce in removed],
        )
        db.execute(_EVENTS["forget-removed-places"], {"user_id": user_id})
    return len(jobs)
