"""Handles timeouts that need no status call: ended submission leases, and for jobs that cannot be
polled, deadlines and the confirm timeout of claims."""

from receiver.domain.observations import TimePassed
from receiver.engine.context import ServiceContext
from receiver.engine.observe_job import observe_job
from receiver.engine.worker import MAX_IDLE_SECONDS, DueTimer, Worker
from receiver.streams.hub import Hub
from store.errors import NotFound
from store.records.times import Lane, Millis

TIMEOUTS_PER_BATCH = 100
TIMEOUT_LEASE: Millis = 30_000
LANES = (Lane.SUBMITTING, Lane.WAIT)


class Deadlines(Worker):
    """The worker for timeouts without a status call."""

    name = "deadlines"

    def __init__(self, services: ServiceContext, hub: Hub) -> None:
        self._services = services
        self._timer = DueTimer(services, hub, *LANES)

    async def run_once(self) -> int:
        """Apply timeouts that are due, at most `TIMEOUTS_PER_BATCH` per lane; returns the number of
        jobs leased for it."""
        return sum([await self._pass(lane) for lane in LANES])

    async def _pass(self, lane: Lane) -> int:
        async with self._timer.leased(lane, TIMEOUT_LEASE, TIMEOUTS_PER_BATCH) as jobs:
            for job in jobs:
                try:
                    _, move = await observe_job(self._services, job.id, TimePassed())
                except NotFound:
                    continue
                if move is None:
                    await self._services.store.jobs.release(self._services.holder, [job.id])
        return len(jobs)

    async def idle(self) -> None:
        await self._timer.wait(MAX_IDLE_SECONDS)
