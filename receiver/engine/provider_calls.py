"""What the poller asks a provider about a job."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from receiver.domain.answers import StatusAnswer, StatusUnavailable
from receiver.domain.observations import CancelAnswer, Observation, Polled, TimePassed
from receiver.engine.context import ServiceContext
from receiver.providers.contract import Provider, UpstreamJob, upstream_job
from store.records.jobs import Job
from store.records.times import Millis

CANCEL_WAIT: Final[Millis] = 24 * 3_600_000
"""How long a cancel waits for its provider to be configured again. It must not wait for ever, since
retention does not remove the job meanwhile."""

A = TypeVar("A", bound=StatusAnswer)

log = structlog.get_logger()


class ProviderCalls:
    """The calls about a job."""

    def __init__(self, services: ServiceContext) -> None:
        self._services = services
        self._calls = services.status_calls

    async def ask(self, job: Job) -> Observation | None:
        """Make the call that the job waits for. None if it is a cancel request that waits for its
        provider to be configured again."""
        asked_at, number = self._services.clock.now(), job.tracking.polls + 1
        if (upstream := upstream_job(job)) is None:  # there is nothing to ask about
            self._calls.give_back()
            return TimePassed()
        if job.cancel_wanted:
            return await self._pass_on_cancel(job, upstream)
        # If the job is known to be COMPLETED, only the result is fetched, where it has an endpoint
        # of its own: the status may lag.
        only_result = job.tracking.link_missing
        answer = await self._ask(
            job,
            lambda asked: asked.result(upstream) if only_result else asked.status(upstream),
        )
        return Polled(number, asked_at, upstream.id, answer)

    async def _pass_on_cancel(self, job: Job, upstream: UpstreamJob) -> CancelAnswer | None:
        """Ask the provider to cancel a job that its user has cancelled. An open breaker is ignored:
        there is only one such call, and without it the job goes on costing money. None if the
        provider is not configured, and the job was cancelled less than `CANCEL_WAIT` ago."""
        provider = self._services.providers.get(job.provider)
        if provider is None:
            self._calls.give_back()
            if self._services.clock.now() - (job.done_at or 0) < CANCEL_WAIT:
                return None
            return CancelAnswer("unavailable", message=f"provider {job.provider} is not configured")
        answer = await provider.cancel(upstream)
        log.info("cancel passed on", job=job.id, outcome=answer.outcome)
        return answer

    async def _ask(
        self, job: Job, call: Callable[[Provider], Awaitable[A]]
    ) -> A | StatusUnavailable:
        """Make a call if the provider's breaker allows it."""
        provider = self._services.providers.get(job.provider)
        if provider is None:
            self._calls.give_back()
            return StatusUnavailable(f"provider {job.provider} is not configured")
        answer = await self._calls.ask(provider, job.id, call)
        self._enqueue(job, answer)
        return StatusUnavailable("the breaker is open") if answer is None else answer

    def _enqueue(self, job: Job, answer: StatusAnswer | None) -> None:
        """Queue the job for the next probe of an open breaker, unless the provider has said when to
        retry."""
        failed = isinstance(answer, StatusUnavailable) and answer.retry_after is None
        if self._calls.breakers[job.provider].state != "closed" and (answer is None or failed):
            queue, claimed = self._calls.queues[job.provider], bool(job.tracking.claims)
            queue.enqueue(job.id, job.user_id, claimed=claimed)
