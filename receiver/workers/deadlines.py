"""Moves jobs by time alone: where a submission's lease has ended, and where nobody can be asked."""

from receiver.actions.core import Core
from receiver.actions.observe_job import observe_job
from receiver.domain.observations import TimePassed
from receiver.streams.hub import Hub
from store.errors import NotFound
from store.records import Lane, Millis

BATCH = 100
LEASE: Millis = 30_000
SAFETY_SECONDS = 1.0
LANES = (Lane.SUBMITTING, Lane.WAIT)


class Deadlines:
    """The worker for moments at which nothing is asked."""

    name = "deadlines"

    def __init__(self, core: Core, hub: Hub, holder: str) -> None:
        self._core = core
        self._bell = hub.lasting_bell(*LANES)
        self._holder = holder

    async def run_once(self) -> int:
        """Let time pass for every job whose moment has come; how many."""
        passed = 0
        for lane in LANES:
            now = self._core.clock.now()
            jobs = await self._core.store.jobs.lease_due(
                lane, now, now + LEASE, self._holder, BATCH
            )
            for job in jobs:
                try:
                    _, move = await observe_job(self._core, job.id, TimePassed())
                except NotFound:
                    continue
                if move is None:
                    await self._core.store.jobs.release(self._holder, [job.id])
            passed += len(jobs)
        return passed

    async def idle(self) -> None:
        now = self._core.clock.now()
        dues = [await self._core.store.jobs.next_due(lane) for lane in LANES]
        waits = [(due - now) / 1_000 for due in dues if due is not None]
        await self._bell.wait(max(0.01, min([SAFETY_SECONDS, *waits])))

    async def stop(self) -> None:
        """Nothing is under way between passes."""
