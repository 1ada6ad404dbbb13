"""Sends queued jobs to their providers, each job once.

The step to `submitting` is committed before the first byte is sent. The result of the call is an
observation, and counts even if the lease has ended meanwhile.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial

import structlog

from receiver import tracing
from receiver.actions.context import ServiceContext
from receiver.actions.observe_job import observe_job
from receiver.actions.submission_queue import QueuedSubmission
from receiver.domain.answers import (
    SubmitAccepted,
    SubmitAmbiguous,
    SubmitAnswer,
    SubmitNotSent,
    SubmitRefused,
)
from receiver.domain.holds import next_end
from receiver.domain.observations import (
    SubmissionBegins,
    SubmissionEnded,
    SubmissionHeld,
    TimePassed,
)
from receiver.streams.hub import Hub
from receiver.workers.hold_keeper import HoldKeeper
from receiver.workers.worker import (
    LEASE_SLACK,
    MAX_IDLE_SECONDS,
    STORE_RETRY_SECONDS,
    CallbackAddress,
    TaskPool,
    until_stored,
)
from store.changes import Changes
from store.errors import NotFound, StoreUnavailable
from store.ids import time_of
from store.records.jobs import Job, Phase
from store.records.times import Lane, Millis

SUBMISSION_DRAIN_SECONDS = 7.0
"""Time for submissions in flight at shutdown."""
LOST_PROBE_PAUSE: Millis = 1_000
"""How long a leased submission is postponed at most when a hold applies to it, as when another job
became the hold's probe first."""
READ_PAUSE = 0.05
"""Minimum number of seconds from a read of the store's queue to one that a notification requests.
Reads for other reasons may follow sooner."""
EXPIRED_PER_BATCH = 100
"""Maximum number of jobs past their deadline that are ended in one pass."""

log = structlog.get_logger()


class Submitter:
    """The worker behind `POST /v1/jobs` and the routes in `http_api/provider_api.py`.

    New jobs are handed over to the queue. Others are read from the store: when it announces some,
    when one becomes due or a hold ends, when the queue runs short of them, and every second in any
    case.
    """

    name = "submitter"

    def __init__(
        self,
        services: ServiceContext,
        hub: Hub,
        callback_address: CallbackAddress,
        timeout: float,
    ) -> None:
        """`timeout` of one submission call is in seconds."""
        self._services = services
        self._callback_address = callback_address
        self._lease: Millis = int(timeout * 1_000) + LEASE_SLACK
        # Twice as many, since a slot is released when the answer arrives, before it is on disk.
        self._task_pool = TaskPool(2 * services.queue.slots)
        self._stopping = False
        self._queue = services.queue
        self._holds = HoldKeeper(services)
        self._next_read_at = 0.0
        """Monotonic time of the next read of the store's queue."""
        self._last_read_at = 0.0
        hub.add_commit_listener(self._on_commit)
        hub.add_listener(Lane.SUBMIT, lambda: self._schedule_read(0.0))
        self._expire_at = 0.0
        """Monotonic time of the next check for jobs past their deadline."""

    async def run_once(self) -> int:
        """Lease waiting jobs, and start those with a free slot; returns how many."""
        if self._services.clock.monotonic() >= self._next_read_at:
            await self._lease_due()
        begun = 0
        while self._task_pool.free and (waiting := self._queue.take()):
            self._task_pool.begin(f"submit {waiting.job.id}", self._submit, waiting)
            begun += 1
        if begun and self._queue.is_short:
            self._next_read_at = 0.0
        return begun

    async def idle(self) -> None:
        if not self._task_pool.free:
            await self._task_pool.wait_any()
            return
        await self._queue.wake.wait(
            max(0.001, self._next_read_at - self._services.clock.monotonic())
        )

    async def stop(self) -> None:
        """Start nothing new, release jobs that have not started, and wait for those in flight;
        those still in flight then become unconfirmed."""
        self._stopping = True
        await self._release(self._queue.close())
        await self._task_pool.drain(SUBMISSION_DRAIN_SECONDS)
        await self._release(self._queue.close())  # jobs whose write was under way

    # --- the store's queue ------------------------------------------------------------------------

    def _on_commit(self, changes: Changes) -> None:
        at = changes.due.get(Lane.SUBMIT)
        if at is not None:
            self._schedule_read((at - self._services.clock.now()) / 1_000)

    def _schedule_read(self, seconds: float) -> None:
        """Schedule a read of the store's queue, unless one is due sooner; keeps `READ_PAUSE`."""
        at = max(self._services.clock.monotonic() + seconds, self._last_read_at + READ_PAUSE)
        if at < self._next_read_at:
            self._next_read_at = at
            self._queue.wake.notify()

    async def _lease_due(self) -> None:
        """Lease jobs from the store that are due, users in turn."""
        store, clock = self._services.store, self._services.clock
        self._last_read_at = clock.monotonic()
        next_read_at, self._next_read_at = self._last_read_at + MAX_IDLE_SECONDS, math.inf
        try:
            now = clock.now()
            due, holds = await asyncio.gather(
                store.backlogs.due(Lane.SUBMIT, now), store.submissions.holds()
            )
            self._holds.learn(holds)
            await self._release(self._queue.remove_held(now))
            if wanted := self._queue.plan_leases(due.backlogs, now):
                lease = self._queue.new_lease()
                jobs = await store.backlogs.lease(Lane.SUBMIT, wanted, now, lease)
                await self._release(self._queue.add(jobs, wanted, lease))
            if due.backlogs and clock.monotonic() >= self._expire_at:
                await self._expire(now)
                self._expire_at = clock.monotonic() + MAX_IDLE_SECONDS
            ends = [end for each in holds.values() if (end := next_end(each, now)) is not None]
            for at in [due.next_at, *ends]:
                if at is not None:
                    next_read_at = min(next_read_at, clock.monotonic() + max(at - now, 10) / 1_000)
        finally:
            self._next_read_at = min(self._next_read_at, next_read_at)

    async def _expire(self, now: Millis) -> None:
        """End queued jobs past their deadline, even those that a hold keeps from being leased."""
        for job_id in await self._services.store.jobs.in_phase(Phase.QUEUED, EXPIRED_PER_BATCH):
            if time_of(job_id) + self._services.rules.job_deadline > now:
                return  # the others are newer
            with suppress(NotFound):
                await observe_job(self._services, job_id, TimePassed())

    async def _release(self, job_ids: Sequence[str]) -> None:
        """Release the leases of jobs, which stay due; if that fails, the leases expire."""
        if job_ids:
            try:
                await self._services.store.jobs.release(self._services.holder, job_ids)
            except StoreUnavailable as error:
                log.warning("jobs could not be released", jobs=len(job_ids), reason=str(error))

    # --- one submission ---------------------------------------------------------------------------

    async def _submit(self, waiting: QueuedSubmission) -> None:
        job, now = waiting.job, self._services.clock.now()
        begins = SubmissionBegins(job.attempts + 1, now + self._lease)
        try:
            # This process may have been suspended, and another one may have leased the job.
            answer = await self._call(waiting, begins) if now < waiting.lease.until else None
        finally:
            self._queue.give_back(job)
        if answer is not None:
            await self._store_answer(job, begins, answer)
        self._holds.forget(job)

    async def _store_answer(self, job: Job, begins: SubmissionBegins, answer: SubmitAnswer) -> None:
        """Store an answer, and its effect on the provider's holds."""
        metrics = self._services.metrics
        metrics.submissions.labels(job.provider, answer.outcome).inc()
        if isinstance(answer, SubmitAccepted | SubmitRefused):
            is_refused = isinstance(answer, SubmitRefused) and answer.credentials_refused
            metrics.provider_credentials_refused.labels(job.provider).set(is_refused)
        log.info("submission ended", job=job.id, outcome=answer.outcome)
        if isinstance(answer, SubmitNotSent):
            # The hold first, so that it is stored before the job is due again.
            now = self._services.clock.now()
            await self._until_stored(partial(self._holds.record_refusal, job, answer, now))
        await self._report(job, begins, answer)
        if isinstance(answer, SubmitAccepted | SubmitRefused):
            await self._until_stored(partial(self._holds.record_answer, job))

    async def _call(
        self, waiting: QueuedSubmission, begins: SubmissionBegins
    ) -> SubmitAnswer | None:
        """The provider's answer; None if the job is not sent, now or ever."""
        job = waiting.job
        try:
            if not (await self._admit_or_postpone(job) and await self._begin(job, begins)):
                return None
        except NotFound:
            return None  # it was not created, or was removed
        except asyncio.CancelledError:
            unsent = SubmitNotSent("the service stopped before it was sent")
            await self._report_once(job, begins, unsent)
            raise
        except StoreUnavailable as error:
            # The attempt may have been stored after all, and would then wait for an answer in vain.
            await self._services.clock.sleep(STORE_RETRY_SECONDS)
            unsent = SubmitNotSent(f"the attempt may not have been stored: {error}")
            await self._report(job, begins, unsent)
            await self._release([job.id])
            return None
        try:
            return await self._answer(waiting)
        except asyncio.CancelledError:
            await self._report_once(job, begins, SubmitAmbiguous("the service stopped meanwhile"))
            raise

    async def _admit_or_postpone(self, job: Job) -> bool:
        """Return whether the job may be sent now. If a hold applies, postpone the job."""
        until = await self._holds.admit(job)
        if until:
            # Not for longer: a probe may be accepted, which ends the hold, at any moment.
            until = min(until, self._services.clock.now() + LOST_PROBE_PAUSE)
            await observe_job(self._services, job.id, SubmissionHeld(until))
        return not until

    async def _begin(self, job: Job, begins: SubmissionBegins) -> bool:
        """Commit that the job is being sent; False if it must not be sent, now or ever."""
        if self._stopping:
            await self._release([job.id])
            return False
        job, move = await observe_job(self._services, job.id, begins)
        return move is not None and job.phase is Phase.SUBMITTING

    async def _answer(self, waiting: QueuedSubmission) -> SubmitAnswer:
        job, new = waiting.job, waiting.new
        provider = self._services.providers.get(job.provider)
        if provider is None:
            return SubmitNotSent(f"provider {job.provider} is not configured")
        try:
            body_input = new.input if new else await self._services.store.jobs.input_of(job.id)
        except StoreUnavailable as error:
            return SubmitNotSent(f"the job could not be read: {error}")
        trace = new.trace_context if new else await self._services.trace_of(job.id)
        with tracing.job_span("submit job", "client", trace, job.id):
            tracing.set_attribute("receiver.provider", job.provider)
            try:
                answer = await provider.submit(job.kind, body_input, self._callback_address(job))
            except Exception as error:
                # Adapters should not raise; whatever this is, bytes may have been sent.
                log.error("a provider failed", job=job.id, exc_info=error)
                answer = SubmitAmbiguous(f"the adapter failed: {type(error).__name__}")
            _annotate_span(answer)
            return answer

    async def _report_once(self, job: Job, begun: SubmissionBegins, answer: SubmitAnswer) -> None:
        """Store an answer without retries, at shutdown, and release the job. If the answer
        cannot be stored, a job that is `submitting` becomes unconfirmed at the next start, or at
        the end of its lease."""
        try:
            await observe_job(self._services, job.id, SubmissionEnded(begun, answer))
        except StoreUnavailable as error:
            log.warning("a submission's answer could not be stored", job=job.id, reason=str(error))
        await self._release([job.id])

    async def _report(self, job: Job, begun: SubmissionBegins, answer: SubmitAnswer) -> None:
        ended = SubmissionEnded(begun, answer)
        await self._until_stored(partial(observe_job, self._services, job.id, ended))

    async def _until_stored(self, write: Callable[[], Awaitable[object]]) -> None:
        """Retry until the write is stored: a lost answer could cost money."""
        await until_stored(self._services.clock, "a submission's answer", write)


def _annotate_span(answer: SubmitAnswer) -> None:
    """Add a submission's result to its span."""
    outcome = answer.outcome
    tracing.set_attribute("receiver.outcome", outcome)
    if isinstance(answer, SubmitRefused):
        tracing.set_attribute("http.response.status_code", answer.status_code)
    if not isinstance(answer, SubmitAccepted):
        tracing.mark_failed(outcome)
