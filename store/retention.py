"""Removes old jobs."""

from collections import defaultdict

from store.records import Millis
from store.session import Session
from store.statements import Statements


def remove_finished(
    session: Session, statements: Statements, done_before: Millis, limit: int
) -> int:
    """See `Jobs.remove_finished`. The users' logs record which events were removed."""
    about_jobs, about_events = statements.load("jobs"), statements.load("events")
    about_files = statements.load("archive")
    jobs = session.execute(
        about_jobs["list-removable"], {"done_before": done_before, "limit": limit}
    ).fetchall()
    places: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for (job_id,) in jobs:
        for user_id, seq, nonce in session.execute(
            about_jobs["list-removed-places"], {"job_id": job_id}
        ):
            places[user_id].append((seq, nonce))
    session.executemany(about_files["remember-files"], [{"job_id": job_id} for (job_id,) in jobs])
    session.executemany(about_jobs["remove-job"], [{"job_id": job_id} for (job_id,) in jobs])
    for user_id, removed in sorted(places.items()):
        whose = {"user_id": user_id}
        session.execute(about_events["mark-removed"], {**whose, "seq": max(removed)[0]})
        session.executemany(
            about_events["keep-removed-place"],
            [{**whose, "seq": seq, "nonce": nonce} for seq, nonce in removed],
        )
        session.execute(about_events["forget-removed-places"], whose)
    return len(jobs)
