"""Removes old data in small batches, and measures what is stored."""

import math

import structlog

from receiver.domain.schedule import DAY, HOUR
from receiver.engine.backlog import Backlog
from receiver.engine.clock_trust import ClockTrust
from receiver.engine.context import ServiceContext
from receiver.engine.supervisor import BATCH, UPKEEP_SECONDS, Worker
from store.records.times import Millis
from store.retention import Position

PAUSE_SECONDS = 0.03
"""Pause between batches. A client's write that arrives during a batch waits about twenty
milliseconds; without the pause nearly every write would. So about two thousand jobs are removed per
second: more than a process can run."""

KEEP_COSTS: Millis = 400 * DAY
"""How long what a job cost is kept after its creation, if the job is not kept longer."""

log = structlog.get_logger()


class Janitor(Worker):
    """The retention worker."""

    name = "janitor"

    def __init__(self, services: ServiceContext, retention: Millis) -> None:
        """`retention` is how long finished jobs are kept, in milliseconds."""
        self._services = services
        self._retention = retention
        self._trust: ClockTrust | None = None
        self._paused = False
        self._after: Position | None = None
        """Where the next batch continues."""
        self._measure_at = services.clock.monotonic()

    async def run_once(self) -> int:
        """Update the gauges if they are due, then remove one batch of each kind. Returns how many
        jobs, idempotency keys and costs were removed, at least 1 until all old jobs have been
        examined.

        Nothing is removed while the clock is not trusted.
        """
        store, clock = self._services.store, self._services.clock
        now, monotonic = clock.now(), clock.monotonic()
        if monotonic >= self._measure_at:
            self._measure_at = monotonic + UPKEEP_SECONDS
            await self._measure(now)
            await self._note_used_keys(now)
        if not await self._check_clock(now):
            return 0
        removed = await store.retention.remove(now - self._retention, BATCH, self._after)
        keys = await store.idempotency.remove_expired(now, BATCH)
        costs = await store.ledger.remove_old(now - max(KEEP_COSTS, self._retention), BATCH)
        self._after = removed.after
        if rows := removed.jobs + keys + costs or int(removed.after is not None):
            await clock.sleep(PAUSE_SECONDS)
        return rows

    async def idle(self) -> None:
        await self._services.clock.sleep(UPKEEP_SECONDS)

    async def _check_clock(self, now: Millis) -> bool:
        monotonic = self._services.clock.monotonic()
        if self._trust is None:
            newest = await self._services.store.jobs.newest()
            self._trust = ClockTrust(now, monotonic, newest, self._retention)
        trusted = self._trust.check(now, monotonic)
        if trusted is self._paused:
            self._paused = not trusted
            self._services.metrics.retention_paused.set(self._paused)
            if trusted:
                log.info("the clock is trusted again: removal of old data resumes")
            else:
                log.warning(
                    "the clock was set, or is far from the time of the stored jobs: no old data is"
                    " removed until the clock is trusted again"
                )
        return trusted

    async def _note_used_keys(self, now: Millis) -> None:
        if used := self._services.keys_used.copy():
            await self._services.store.keys.note_use(used, now - now % HOUR)
            self._services.keys_used.difference_update(used)

    async def _measure(self, now: Millis) -> None:
        store, metrics = self._services.store, self._services.metrics
        sizes = await store.sizes()
        metrics.database_size_bytes.set(sizes.get("database", 0))
        metrics.wal_size_bytes.set(sizes.get("wal", 0))
        metrics.disk_free_bytes.set(sizes.get("free", math.inf))

        await Backlog(self._services).measure()

        pending, oldest = await store.deliveries.backlog()
        metrics.relay_backlog.set(pending)
        metrics.relay_oldest_age_seconds.set(_age(oldest, now))


def _age(since: Millis | None, now: Millis) -> float:
    return 0.0 if since is None else max(0, now - since) / 1_000
