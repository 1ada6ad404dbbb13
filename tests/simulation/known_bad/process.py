"""Variants that shut down badly, or that starve some work while they do other work."""

from typing import Any
from unittest.mock import patch

from receiver.workers.submitter import Submitter
from receiver.workers.supervisor import Supervisor
from receiver.workers.worker import Worker
from store.batch_sizer import MAX_BACKGROUND, BatchSizer
from tests.simulation.known_bad import plans
from tests.simulation.known_bad.variant import Patch, variant
from tests.simulation.loop import running_loop


@variant("SIGTERM ends it cleanly", plan=plans.stopped_with_a_full_disk, first=1)
def stop_ends_at_the_first_error() -> Patch:
    """At SIGTERM, one worker's trouble with the store stops the shutdown of all."""

    async def stop(_: Supervisor, worker: Worker) -> None:
        await worker.stop()

    return patch.object(Supervisor, "_stop", stop)


@variant("SIGTERM ends it within ten seconds", plan=plans.stopped_with_a_full_disk, first=1)
def stop_waits_for_the_disk() -> Patch:
    """At SIGTERM, a submission's outcome is retried until the store can take it."""

    async def until_stored(self: Submitter, job: Any, begun: Any, answer: Any) -> None:
        await self._report(job, begun, answer)

    return patch.object(Submitter, "_report_once", until_stored)


@variant("no work waits for a second while other work is served", plan=plans.flooded_while_jobs_end)
def background_in_small_turns() -> Patch:
    """In a rush, two background writes run every 100 ms, however many wait."""
    rush, rush_ends, turn_gap, turn_members = 8, 0.05, 0.1, 2

    def in_turns(self: Any, urgent: int, _waited: float) -> int:
        now = running_loop().time()
        if urgent >= rush:
            self.rush_until = now + rush_ends
        if now >= getattr(self, "rush_until", 0.0):
            return turn_members if urgent else MAX_BACKGROUND
        if now < getattr(self, "turn_from", 0.0):
            return 0
        self.turn_from = now + turn_gap
        return turn_members

    return patch.object(BatchSizer, "background_members", in_turns)
