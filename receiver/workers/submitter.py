"""Sends queued jobs to their provider, each of them once.

The step to `submitting` is committed before the first byte leaves. What becomes of the call is an
observation, and is taken whatever has become of the lease meanwhile.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from receiver import tracing
from receiver.actions.core import Core
from receiver.actions.observe_job import observe_job
from receiver.actions.trace_of import trace_of
from receiver.domain.observations import (
    SubmissionBegins,
    SubmissionHeld,
    SubmissionInterrupted,
    SubmitAccepted,
    SubmitAmbiguous,
    SubmitAnswer,
    SubmitNotSent,
    SubmitRefused,
)
from receiver.streams.hub import Hub
from receiver.workers.worker import Flight
from store.errors import StoreUnavailable
from store.records import Job, Lane, Millis, Phase

MOST_AT_ONCE = 32
LEASE_SLACK: Millis = 15_000
"""What a lease outlasts the longest submission by."""
TAKEN_FOR: Millis = 30_000
"""How long a queued job is held for this worker before its submission begins."""
DRAIN_SECONDS = 7.0
"""What submissions in flight get at shutdown (contract 11)."""
SAFETY_SECONDS = 1.0
STORE_RETRY_SECONDS = 1.0

log = structlog.get_logger()


class CallbackAddresses(Protocol):
    """Where the provider reaches us for one job."""

    def __call__(self, job: Job) -> str: ...


class Submitter:
    """The worker behind `POST /v1/jobs` and the drop-in routes."""

    name = "submitter"

    def __init__(
        self,
        core: Core,
        hub: Hub,
        callback_address: CallbackAddresses,
        holder: str,
        submit_timeout: float,
    ) -> None:
        """`submit_timeout` in seconds is the longest time of one submission call."""
        self._core = core
        self._bell = hub.lasting_bell(Lane.SUBMIT)
        self._callback_address = callback_address
        self._holder = holder
        self._lease: Millis = int(submit_timeout * 1_000) + LEASE_SLACK
        self._flight = Flight(MOST_AT_ONCE)
        self._stopping = False

    async def run_once(self) -> int:
        """Begin the submissions that are due and have a free place; how many jobs were taken."""
        if not self._flight.free:
            return 0
        now = self._core.clock.now()
        jobs = await self._core.store.jobs.lease_due(
            Lane.SUBMIT, now, now + TAKEN_FOR, self._holder, self._flight.free
        )
        for job in jobs:
            self._flight.begin(self._submit(job), f"submit {job.id}")
        return len(jobs)

    async def idle(self) -> None:
        if not self._flight.free:
            await self._flight.landing()
            return
        due = await self._core.store.jobs.next_due(Lane.SUBMIT)
        now = self._core.clock.now()
        seconds = SAFETY_SECONDS if due is None else max(0.01, min(1.0, (due - now) / 1_000))
        await self._bell.wait(seconds)

    async def stop(self) -> None:
        """Begin nothing new, and give what is in flight its time; the rest is unconfirmed."""
        self._stopping = True
        await self._flight.drain(DRAIN_SECONDS)

    async def drain(self) -> None:
        """Wait for every submission that has begun."""
        await self._flight.drain()

    async def _submit(self, job: Job) -> None:
        try:
            trace = await trace_of(self._core, job.id)
            begun = await self._begin(job)
        except asyncio.CancelledError:
            await self._tell_once(job, SubmitNotSent("the service stopped before it was sent"))
            raise
        if not begun:
            return
        try:
            answer = await self._answer(job, trace)
        except asyncio.CancelledError:
            await self._tell_once(job, SubmissionInterrupted("the service stopped meanwhile"))
            raise
        outcome = answer.outcome
        self._core.metrics.submissions.labels(job.provider, outcome).inc()
        log.info("submission ended", job=job.id, outcome=outcome)
        if isinstance(answer, SubmitNotSent) and answer.retry_after is not None:
            until = self._core.clock.now() + answer.retry_after
            await self._until_stored(
                lambda: self._core.store.jobs.hold_submissions(job.provider, until)
            )
        await self._tell(job, answer)

    async def _begin(self, job: Job) -> bool:
        """Commit that it is being sent; False where it is not to be, now or ever."""
        if self._stopping:
            await self._core.store.jobs.release(self._holder, [job.id])
            return False
        held_until = await self._core.store.jobs.submissions_held_until(job.provider)
        now = self._core.clock.now()
        if held_until is not None and held_until > now:
            await observe_job(self._core, job.id, SubmissionHeld(held_until))
            return False
        job, move = await observe_job(self._core, job.id, SubmissionBegins(now + self._lease))
        return move is not None and job.phase is Phase.SUBMITTING

    async def _answer(self, job: Job, trace: str | None) -> SubmitAnswer:
        provider = self._core.providers.get(job.provider)
        if provider is None:
            return SubmitNotSent(f"no provider {job.provider} runs here")
        try:
            body_input = await self._core.store.jobs.input_of(job.id)
        except StoreUnavailable as error:
            return SubmitNotSent(f"the job could not be read: {error}")
        with tracing.step("submit job", "client", trace, job.id):
            tracing.tell("receiver.provider", job.provider)
            try:
                answer = await provider.submit(job.kind, body_input, self._callback_address(job))
            except Exception as error:
                # A provider answers and does not raise; whatever this is, bytes may have left.
                log.error("a provider failed", job=job.id, exc_info=error)
                answer = SubmitAmbiguous(f"the adapter failed: {type(error).__name__}")
            _tell(answer)
            return answer

    async def _tell_once(self, job: Job, answer: SubmitAnswer | SubmissionInterrupted) -> None:
        """At shutdown nobody waits for the store: what is not written, the next start recovers."""
        try:
            await observe_job(self._core, job.id, answer)
        except StoreUnavailable as error:
            log.warning("a submission ends without the store", job=job.id, why=str(error))

    async def _tell(self, job: Job, answer: SubmitAnswer) -> None:
        await self._until_stored(lambda: observe_job(self._core, job.id, answer))

    async def _until_stored(self, write: Callable[[], Awaitable[object]]) -> None:
        """An answer is worth money: what follows from it is written until it is stored."""
        while True:
            try:
                await write()
                return
            except StoreUnavailable as error:
                log.warning("a submission's answer waits for the store", why=str(error))
                await self._core.clock.sleep(STORE_RETRY_SECONDS)


def _tell(answer: SubmitAnswer) -> None:
    """Tell the span of a submission what came of it."""
    outcome = answer.outcome
    tracing.tell("receiver.outcome", outcome)
    if isinstance(answer, SubmitRefused):
        tracing.tell("http.response.status_code", answer.status_code)
    if not isinstance(answer, SubmitAccepted):
        tracing.failed(outcome)
