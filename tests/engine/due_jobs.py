"""Jobs that wait for a status call."""

import asyncio
from dataclasses import replace

from receiver.domain.answers import StatusReport
from receiver.providers.samsar import read_report
from store.keys import User
from store.records.callbacks import CallbackVerdict, Verdict
from store.records.jobs import Claim, Job, Status, Tracking
from store.records.times import Due, Lane
from store.records.transitions import Transition
from tests.engine.harness import Harness


async def claimed(harness: Harness, name: str, user: User | None = None) -> Job:
    """A job with a claim that is due for confirmation."""
    job, now = await harness.accepted_job(name, user), harness.clock.now()

    def decide(callback_id: int, before: Job) -> Transition:
        claim = Claim(callback_id, now, Status.COMPLETED, None, None, None)
        waiting = replace(before, due=Due(Lane.CONFIRM, now), tracking=Tracking(claims=(claim,)))
        return Transition(waiting, verdicts=(CallbackVerdict(callback_id, Verdict.CLAIMED),))

    await harness.world.receive(job, b'{"status":"COMPLETED"}', name, decide)
    return await harness.find(job)


async def due_polls(harness: Harness, count: int) -> None:
    now = harness.clock.now()
    await asyncio.gather(
        *(harness.accepted_job(f"poll-{number}", poll_at=now) for number in range(count))
    )


def finish_at_next_call(harness: Harness) -> None:
    """Make each call finish its job, so that no job is polled twice."""
    said = {"status": "FAILED", "message": "Out of credits."}
    harness.provider.answer = StatusReport(read_report(said))
