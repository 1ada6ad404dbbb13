"""Sends queued jobs to their providers, each job once.

The step to `submitting` is committed before the first byte is sent. The result of the call is an
observation, and counts even if the lease has ended meanwhile.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import structlog

from receiver.domain.answers import (
    SubmitAccepted,
    SubmitAmbiguous,
    SubmitAnswer,
    SubmitNotSent,
    SubmitRefused,
)
from receiver.domain.observations import SubmissionBegins, SubmissionEnded
from receiver.engine.context import ServiceContext
from receiver.engine.hold_keeper import HoldKeeper
from receiver.engine.observe_job import observe_job
from receiver.engine.submission_leases import SubmissionLeases
from receiver.engine.submission_queue import QueuedSubmission
from receiver.engine.worker import (
    STORE_RETRY_SECONDS,
    CallbackAddress,
    TaskPool,
    until_stored,
)
from receiver.streams.hub import Hub
from store.errors import NotFound, StoreUnavailable
from store.records.jobs import Job, Phase

SUBMISSION_DRAIN_SECONDS = 7.0
"""Time for submissions in flight at shutdown."""

log = structlog.get_logger()


class Submitter:
    """The worker behind `POST /v1/jobs` and the routes in `http_api/provider_api.py`.

    New jobs are handed over to the queue; `leases` brings others from the store.
    """

    name = "submitter"

    def __init__(
        self, services: ServiceContext, hub: Hub, callback_address: CallbackAddress
    ) -> None:
        self._services = services
        self._callback_address = callback_address
        # Twice as many, since a slot is released when the answer arrives, before it is on disk.
        self._task_pool = TaskPool(2 * services.queue.slots)
        self._queue = services.queue
        self._holds = HoldKeeper(services)
        self.leases = SubmissionLeases(services, hub, self._holds)
        """To be run as a worker of its own: slots that become free must not wait for the store."""

    async def run_once(self) -> int:
        """Start the waiting jobs that have a free slot; returns how many."""
        begun = 0
        while self._task_pool.free and (waiting := self._queue.take()):
            self._start(waiting)
            begun += 1
        if begun and self._queue.is_short:
            self.leases.wake.notify()
        return begun

    async def idle(self) -> None:
        if self._task_pool.free:
            await self._queue.wake.wait(None)
        else:
            await self._task_pool.wait_any()

    async def stop(self) -> None:
        """Start nothing new, release jobs that have not started, and wait for those in flight;
        those still in flight then become unconfirmed."""
        await self.leases.release(self._queue.close())
        while self._queue.in_creation:
            await self._queue.wake.wait(None)
        while waiting := self._queue.take():
            self._start(waiting)  # it is not sent
        await self._task_pool.drain(SUBMISSION_DRAIN_SECONDS)
        await self.leases.release(self._queue.close())

    # --- one submission ---------------------------------------------------------------------------

    def _start(self, waiting: QueuedSubmission) -> None:
        self._task_pool.begin(f"submit {waiting.job.id}", self._submit, waiting)

    async def _submit(self, waiting: QueuedSubmission) -> None:
        job, now = waiting.job, self._services.clock.now()
        begins = waiting.begun or SubmissionBegins(
            job.attempts + 1, now + self._services.rules.submit_lease
        )
        try:
            # This process may have been suspended, and another one may have leased the job.
            is_lost = waiting.lease is not None and now >= waiting.lease.until
            answer = None if is_lost else await self._call(waiting, begins)
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
            if waiting.begun:
                if not waiting.is_stored:
                    raise StoreUnavailable("it is unknown whether the job was created")
                if self._queue.is_closed or self._services.clock.now() >= begins.lease_until:
                    return SubmitNotSent("the service was stopped before it was sent")
            elif not await self._holds.admit(job) or self._queue.is_closed:
                # It stays due, and is leased again when it may be sent.
                await self._services.store.jobs.release(self._services.holder, [job.id])
                return None
            elif not await self._begin(job, begins):
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
            await self.leases.release([job.id])
            return None
        try:
            return await self._answer(waiting)
        except asyncio.CancelledError:
            await self._report_once(job, begins, SubmitAmbiguous("the service stopped meanwhile"))
            raise

    async def _begin(self, job: Job, begins: SubmissionBegins) -> bool:
        """Commit that the job is being sent; False if it must not be sent, now or ever."""
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
        try:
            return await provider.submit(job.kind, body_input, self._callback_address(job))
        except Exception as error:
            # Adapters should not raise; whatever this is, bytes may have been sent.
            log.error("a provider failed", job=job.id, exc_info=error)
            return SubmitAmbiguous(f"the adapter failed: {type(error).__name__}")

    async def _report_once(self, job: Job, begun: SubmissionBegins, answer: SubmitAnswer) -> None:
        """Store an answer without retries, at shutdown, and release the job. If the answer
        cannot be stored, a job that is `submitting` becomes unconfirmed at the next start, or at
        the end of its lease."""
        try:
            await observe_job(self._services, job.id, SubmissionEnded(begun, answer))
        except StoreUnavailable as error:
            log.warning("a submission's answer could not be stored", job=job.id, reason=str(error))
        await self.leases.release([job.id])

    async def _report(self, job: Job, begun: SubmissionBegins, answer: SubmitAnswer) -> None:
        ended = SubmissionEnded(begun, answer)
        with suppress(NotFound):  # its creation failed
            await self._until_stored(partial(observe_job, self._services, job.id, ended))

    async def _until_stored(self, write: Callable[[], Awaitable[object]]) -> None:
        """Retry until the write is stored: a lost answer could cost money."""
        await until_stored(self._services.clock, "a submission's answer", write)
