"""Applies stored callbacks: one batch per job, outcomes before progress. In a flood of progress,
up to `CALLBACKS_PER_BATCH` waiting callbacks of a job become one change.

A callback that this process stores is offered here after its commit, unless it was applied in the
same transaction. Once a second the store is queried for the rest: callbacks left by a crash or
stored by another process.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import islice

import structlog

from receiver.engine.apply_callbacks import apply_callbacks
from receiver.engine.context import ServiceContext
from receiver.engine.poller import POLL_LEASE
from receiver.engine.worker import TaskPool
from receiver.streams.hub import Hub, Subscription
from store.callbacks import Applied
from store.changes import CommitNotice
from store.errors import NotApplied, NotFound, StoreUnavailable
from store.records.jobs import Job
from store.records.times import Lease, Millis

JOBS_PER_BATCH = 64
CALLBACKS_PER_BATCH = 100
"""Maximum number of a job's callbacks in one change."""
DIRECT_AT_ONCE = 8
"""Maximum number of concurrent attempts to apply a callback in the transaction that stores it."""
MAX_JOBS_OFFERED = 50_000
"""Maximum number of jobs remembered; others are found among the leftovers."""
LEFTOVER_SECONDS = 1.0
LEFTOVERS_PER_BATCH = 200
"""Callbacks read when looking for leftovers: those that have waited longest."""

log = structlog.get_logger()


class Inbox:
    """The worker behind the callback route."""

    name = "inbox"

    def __init__(self, services: ServiceContext, hub: Hub, confirm: Callable[[Job], None]) -> None:
        """`confirm` takes over a job that is due for confirmation, leased for `POLL_LEASE`."""
        self._services = services
        self._confirm = confirm
        self._outcomes: dict[str, Millis] = {}
        """Jobs with a callback that reports an outcome, with the time of the offer, in order."""
        self._progress: dict[str, Millis] = {}
        """All other jobs with callbacks, likewise."""
        self._offered = Subscription()
        self._next_read_at = 0.0
        """Monotonic time of the next look for leftovers."""
        self._direct = TaskPool(DIRECT_AT_ONCE)
        self._overtaking = TaskPool(1)
        """Outcomes that came while progress was being applied."""
        self._applies_progress = False
        """Whether the round under way applies progress, which large bodies can make slow."""
        hub.add_commit_listener(self._on_commit)

    def apply_soon(self, job_id: str, *, final: bool) -> None:
        """Apply a callback whose write has just been enqueued, if possible in the same transaction,
        which saves a commit under light load. Does nothing while other jobs wait, since then it is
        better to apply several callbacks of a job together, or while `DIRECT_AT_ONCE` are being
        applied this way: after its commit the callback is offered."""
        if not self._outcomes and not self._progress and self._direct.free:
            now = self._services.clock.now()
            self._direct.begin(f"apply {job_id}", self._apply_directly, job_id, now, final)

    def offer(self, job_id: str, *, final: bool) -> None:
        """Apply the job's waiting callbacks soon."""
        if len(self._outcomes) + len(self._progress) >= MAX_JOBS_OFFERED:
            return
        now = self._services.clock.now()
        if final:
            self._outcomes.setdefault(job_id, self._progress.pop(job_id, now))
        elif job_id not in self._outcomes:
            self._progress.setdefault(job_id, now)
        self._offered.notify()

    async def run_once(self) -> int:
        """Apply the waiting callbacks of some jobs; returns the number of jobs."""
        await self._find_leftovers()
        outcomes = _take(self._outcomes, JOBS_PER_BATCH)
        progress = _take(self._progress, JOBS_PER_BATCH - len(outcomes))
        self._applies_progress = bool(progress)
        try:
            return await self._apply_all(outcomes, progress)
        finally:
            self._applies_progress = False

    async def idle(self) -> None:
        pause = self._next_read_at - self._services.clock.monotonic()
        await self._offered.wait(max(pause, 0.001))

    async def stop(self) -> None:
        """Wait for callbacks that are being applied outside `run_once`. Nothing is released: what
        was not applied is applied at the next start."""
        await self._direct.drain()
        await self._overtaking.drain()

    async def _apply_directly(self, job_id: str, since: Millis, final: bool) -> None:
        with suppress(StoreUnavailable):  # if the callback was stored, it is offered
            await self._apply(job_id, final=final)

    def _on_commit(self, changes: CommitNotice) -> None:
        for job_id, final in changes.inbox.items():
            self.offer(job_id, final=final)
        if self._applies_progress and self._outcomes and self._overtaking.free:
            self._overtaking.begin("apply outcomes", self._apply_outcomes)

    async def _apply_outcomes(self) -> None:
        while self._applies_progress and self._outcomes:
            await self._apply_all(_take(self._outcomes, JOBS_PER_BATCH), {})

    async def _find_leftovers(self) -> None:
        now = self._services.clock.monotonic()
        if now >= self._next_read_at:
            self._next_read_at = now + LEFTOVER_SECONDS
            for job_id in await self._services.store.callbacks.jobs_waiting(LEFTOVERS_PER_BATCH):
                # The store does not record which callbacks report an outcome.
                self.offer(job_id, final=False)

    async def _apply_all(
        self, outcomes: Mapping[str, Millis], progress: Mapping[str, Millis]
    ) -> int:
        """Apply the callbacks of these jobs; those that fail are offered again."""
        some = {**outcomes, **progress}
        ends = await asyncio.gather(
            *(self._apply(job_id, final=job_id in outcomes) for job_id in some),
            return_exceptions=True,
        )
        failures = [end for end in ends if isinstance(end, BaseException)]
        for job_id, end in zip(some, ends, strict=True):
            if isinstance(end, BaseException):
                self.offer(job_id, final=job_id in outcomes)
        if failures:
            raise failures[0]
        return len(some)

    async def _apply(self, job_id: str, *, final: bool) -> None:
        with suppress(NotFound):  # the job was removed with its callbacks
            await self._apply_some(job_id, CALLBACKS_PER_BATCH, final=final)

    async def _apply_some(self, job_id: str, most: int, *, final: bool) -> Applied | None:
        """Apply at most `most` of the waiting callbacks; None if that failed and the failure was
        counted."""
        lease = Lease(self._services.holder, self._services.clock.now() + POLL_LEASE)
        try:
            applied = await apply_callbacks(self._services, job_id, most, lease, final=final)
        except NotApplied as failure:
            if len(failure.callback_ids) == 1:
                await self._count_failure(job_id, failure)
                return None
            # One of them is at fault: apply them one by one.
            self.offer(job_id, final=final)
            return await self._apply_some(job_id, 1, final=final)
        if applied.is_leased:
            self._confirm(applied.job)
        if applied.has_more:
            self.offer(job_id, final=final)
        return applied

    async def _count_failure(self, job_id: str, failure: NotApplied) -> None:
        """Count the failure, so that a bad callback cannot block the others or its job forever."""
        (callback_id,) = failure.callback_ids
        tries = await self._services.store.callbacks.count_failure(
            callback_id, self._services.clock.now()
        )
        log.error(
            "a callback could not be applied",
            job=job_id,
            callback=callback_id,
            tries=tries,
            exc_info=failure.__cause__,
        )


def _take(jobs: dict[str, Millis], most: int) -> dict[str, Millis]:
    """Remove and return the first `most` jobs."""
    return {job_id: jobs.pop(job_id) for job_id in list(islice(jobs, most))}
