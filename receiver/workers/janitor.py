"""Keeps house: removes what is past its time in small batches, and measures what is stored."""

from receiver.actions.core import Core
from store.records import Millis, Phase

BATCH = 100
BREATH_SECONDS = 0.05
"""Between batches. A client that comes while one is removed waits for it, some ten milliseconds;
without a pause nearly every client would. So some 1,500 jobs a second go, more than can come."""
SWEEP_SECONDS = 30.0


class Janitor:
    """The worker that forgets."""

    name = "janitor"

    def __init__(self, core: Core, retention: Millis) -> None:
        """`retention` is how long finished jobs are kept."""
        self._core = core
        self._retention = retention

    async def run_once(self) -> int:
        """One batch of each kind, then the measures; how many rows went."""
        store, now = self._core.store, self._core.clock.now()
        removed = await store.jobs.remove_finished(now - self._retention, BATCH)
        removed += await store.idempotency.remove_expired(now, BATCH)
        if removed:
            await self._core.clock.sleep(BREATH_SECONDS)
        else:
            await self._measure(now)
        return removed

    async def idle(self) -> None:
        await self._core.clock.sleep(SWEEP_SECONDS)

    async def stop(self) -> None:
        """Nothing is under way between batches."""

    async def _measure(self, now: Millis) -> None:
        store, metrics = self._core.store, self._core.metrics
        sizes = await store.upkeep()
        metrics.database_bytes.set(sizes.get("database", 0))
        metrics.wal_bytes.set(sizes.get("wal", 0))

        census = await store.jobs.census()
        for phase in Phase:
            if phase is not Phase.FINISHED:
                metrics.jobs.labels(phase).set(census.get(phase, (0, 0))[0])
        metrics.unconfirmed.set(census.get(Phase.SUBMIT_UNCONFIRMED, (0, 0))[0])
        oldest = min((at for _, at in census.values()), default=None)
        metrics.oldest_job_age.set(_age(oldest, now))

        waiting, oldest = await store.callbacks.backlog()
        metrics.inbox_rows.set(waiting)
        metrics.inbox_age.set(_age(oldest, now))
        pending, oldest = await store.deliveries.backlog()
        metrics.relay_backlog.set(pending)
        metrics.relay_age.set(_age(oldest, now))


def _age(since: Millis | None, now: Millis) -> float:
    return 0.0 if since is None else max(0, now - since) / 1_000
