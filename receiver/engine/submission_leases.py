"""Leases queued jobs from the store, for the submitter."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import structlog

from receiver.domain.holds import current
from receiver.domain.observations import TimePassed
from receiver.engine.context import ServiceContext
from receiver.engine.hold_keeper import HoldKeeper
from receiver.engine.observe_job import observe_job
from receiver.engine.worker import MAX_IDLE_SECONDS, Worker
from receiver.streams.hub import Hub, Subscription
from store.changes import CommitNotice
from store.errors import NotFound, StoreUnavailable
from store.ids import time_of
from store.records.jobs import Phase
from store.records.times import Lane, Millis

READ_PAUSE = 0.05
"""Minimum number of seconds from a read of the store's queue to one that a notification requests.
Reads for other reasons may follow sooner."""
EXPIRED_PER_BATCH = 100
"""Maximum number of jobs past their deadline that are ended in one pass."""

log = structlog.get_logger()


class SubmissionLeases(Worker):
    """The worker that reads the store's queue: when jobs are announced there, when one becomes due
    or a hold ends, when the queue in memory runs short of them, and every second in any case."""

    name = "submission leases"

    def __init__(self, services: ServiceContext, hub: Hub, holds: HoldKeeper) -> None:
        self._services = services
        self._queue = services.queue
        self._holds = holds
        self.wake = Subscription()
        """Notified when a read is scheduled, or the queue in memory runs short of jobs."""
        self._next_read_at = 0.0
        """Monotonic time of the next read of the store's queue."""
        self._last_read_at = 0.0
        hub.add_commit_listener(self._on_commit)
        hub.add_foreign_listener(lambda: self._schedule_read(0.0))
        self._expire_at = 0.0
        """Monotonic time of the next check for jobs past their deadline."""

    async def run_once(self) -> int:
        """Lease waiting jobs if it is time, or if the queue is short of them."""
        if self._services.clock.monotonic() >= self._next_read_at or self._queue.is_short:
            await self._lease_due()
        return 0

    async def idle(self) -> None:
        pause = self._next_read_at - self._services.clock.monotonic()
        await self.wake.wait(max(0.001, pause))

    async def release(self, job_ids: Sequence[str]) -> None:
        """Release the leases of jobs, which stay due; if that fails, the leases expire."""
        if job_ids:
            try:
                await self._services.store.jobs.release(self._services.holder, job_ids)
            except StoreUnavailable as error:
                log.warning("jobs could not be released", jobs=len(job_ids), reason=str(error))

    def _on_commit(self, changes: CommitNotice) -> None:
        at = changes.due.get(Lane.SUBMIT)
        if at is not None:
            self._schedule_read((at - self._services.clock.now()) / 1_000)

    def _schedule_read(self, seconds: float) -> None:
        """Schedule a read of the store's queue, unless one is due sooner; keeps `READ_PAUSE`."""
        at = max(self._services.clock.monotonic() + seconds, self._last_read_at + READ_PAUSE)
        if at < self._next_read_at:
            self._next_read_at = at
            self.wake.notify()

    async def _lease_due(self) -> None:
        """Lease jobs from the store that are due, users in turn."""
        store, clock = self._services.store, self._services.clock
        self._last_read_at = clock.monotonic()
        self._next_read_at = self._last_read_at + MAX_IDLE_SECONDS
        now = clock.now()
        due, holds = await asyncio.gather(store.backlogs.due(Lane.SUBMIT, now), store.holds.read())
        self._holds.learn(holds)
        await self.release(self._queue.remove_held(now))
        if wanted := self._queue.plan_leases(due.backlogs, now):
            lease = self._queue.new_lease()
            jobs = await store.backlogs.lease(Lane.SUBMIT, wanted, now, lease)
            await self.release(self._queue.add(jobs, wanted, lease))
        if due.backlogs and clock.monotonic() >= self._expire_at:
            await self._expire(now)
            self._expire_at = clock.monotonic() + MAX_IDLE_SECONDS
        ends = [hold.until for each in holds.values() for _, hold in current(each, now)]
        for at in [due.next_at, *ends]:
            if at is not None:
                next_read_at = clock.monotonic() + max(at - now, 10) / 1_000
                self._next_read_at = min(self._next_read_at, next_read_at)

    async def _expire(self, now: Millis) -> None:
        """End queued jobs past their deadline, even those that a hold keeps from being leased."""
        for job_id in await self._services.store.jobs.in_phase(Phase.QUEUED, EXPIRED_PER_BATCH):
            if time_of(job_id) + self._services.rules.job_deadline > now:
                return  # the others are newer
            with suppress(NotFound):
                await observe_job(self._services, job_id, TimePassed())
