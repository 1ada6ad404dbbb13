"""Jobs that wait for a status call."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from receiver.domain.answers import StatusReport
from receiver.engine.poller import POLL_LEASE
from receiver.providers.samsar import read_report
from store.keys import User
from store.records.callbacks import Callback, CallbackVerdict, Verdict
from store.records.jobs import Claim, Evidence, Job, Status, Tracking
from store.records.moves import Move
from store.records.times import Due, Lane, Lease
from tests.engine.harness import HOLDER, Harness


async def claimed(
    harness: Harness, name: str, *, holder: str | None = HOLDER, user: User | None = None
) -> Job:
    """A job with a claim that is due for confirmation; leased if there is a `holder`."""
    job = await harness.accepted_job(name, user)
    await harness.world.receive(job, b'{"status":"COMPLETED"}', name)
    now = harness.clock.now()

    def decide(before: Job, callbacks: Sequence[Callback]) -> Move:
        (callback,) = callbacks
        verdict = CallbackVerdict(callback.id, Verdict.CLAIMED, None, Evidence.CALLBACK)
        claim = Claim(callback.id, now, Status.COMPLETED, None, None, None)
        waiting = replace(before, due=Due(Lane.CONFIRM, now), tracking=Tracking(claims=(claim,)))
        return Move(waiting, verdicts=(verdict,))

    lease = None if holder is None else Lease(holder, now + POLL_LEASE)
    applied = await harness.store.callbacks.apply(job.id, decide, most=9, lease=lease)
    return applied.job


async def due_polls(harness: Harness, count: int) -> None:
    now = harness.clock.now()
    await asyncio.gather(
        *(harness.accepted_job(f"poll-{number}", poll_at=now) for number in range(count))
    )


def finish_at_next_call(harness: Harness) -> None:
    """Make each call finish its job, so that no job is polled twice."""
    said = {"status": "FAILED", "message": "Out of credits."}
    harness.provider.answer = StatusReport(read_report(said))
