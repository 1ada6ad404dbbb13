"""Limits all status calls to providers."""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from receiver.clock import Clock
from receiver.domain.answers import StatusAnswer, StatusUnavailable
from receiver.domain.call_limits import Breaker, RateLimiter
from receiver.domain.probe_queue import ProbeQueue
from receiver.metrics import Metrics
from receiver.providers.contract import Provider, UpstreamJob

CLIENTS_SHARE: Final = 0.2
"""The share of the rate for calls that are made for clients: many of them must not stop the
polls."""
MAX_RATE_WAIT: Final = 1.0
"""Seconds that a call made for a client may wait for the rate limit."""
SLOT_CHECK_SECONDS: Final = 0.1
"""Seconds between two checks for a free slot."""

A = TypeVar("A", bound=StatusAnswer)

log = structlog.get_logger()


class StatusCalls:
    """One rate limit and one concurrency limit for all calls; for each provider, a circuit breaker
    and the queue of jobs that wait for it.

    The poller works through the queues and counts its calls itself (`free`, `begin`, `ask`, `end`),
    cancel requests included.
    `ask_soon` is for requests that can be answered without the call.
    """

    def __init__(self, clock: Clock, metrics: Metrics, rate: float, concurrency: int) -> None:
        """`rate` is in calls per second."""
        self.concurrency = concurrency
        self.breakers: defaultdict[str, Breaker] = defaultdict(Breaker)
        self.queues: defaultdict[str, ProbeQueue] = defaultdict(ProbeQueue)
        self._clock = clock
        self._metrics = metrics
        self._rate_limiter = RateLimiter(rate)
        self._clients_limiter = RateLimiter(rate * CLIENTS_SHARE)
        self._under_way = 0
        self._asked_soon = 0

    def free(self) -> int:
        """How many calls may start now."""
        return min(
            self.concurrency - self._under_way, self._rate_limiter.free(self._clock.monotonic())
        )

    def seconds_until_free(self) -> float:
        """Seconds after which a call may be free."""
        if self._under_way >= self.concurrency:
            return SLOT_CHECK_SECONDS
        return self._rate_limiter.seconds_until_free(self._clock.monotonic())

    def is_failing(self, provider: str, job_id: str) -> bool:
        """Whether the breaker is closed, but the job's last call failed."""
        return self.breakers[provider].state == "closed" and self.queues[provider].is_failing(
            job_id
        )

    def begin(self) -> None:
        """Count a call before it is made."""
        self._rate_limiter.take(self._clock.monotonic())
        self._under_way += 1

    def give_back(self) -> None:
        """Give a call that was begun, but is not made, back to the rate limit."""
        self._rate_limiter.give_back()

    def end(self) -> None:
        """Uncount a call that has ended, or was not made after all."""
        self._under_way -= 1

    async def ask(
        self, provider: Provider, job_id: str, call: Callable[[Provider], Awaitable[A]]
    ) -> A | None:
        """Make a call that `begin` has counted, if the provider's breaker allows it; else return
        None and give the call back to the rate limit."""
        name = provider.name
        breaker, now = self.breakers[name], self._clock.monotonic()
        is_probe = breaker.state != "closed"
        may_call = not is_probe or self.queues[name].allows(job_id)
        if not (may_call and breaker.try_acquire(now)):
            self._metrics.status_polls.labels(name, "breaker_open").inc()
            self.give_back()
            return None
        try:
            answer = await call(provider)
        except BaseException:
            if is_probe:
                breaker.abandoned()
            raise
        self._learn(name, job_id, answer, is_probe=is_probe)
        self._metrics.set_breaker(name, breaker.state)
        self._metrics.status_polls.labels(name, answer.outcome).inc()
        return answer

    def _learn(self, name: str, job_id: str, answer: StatusAnswer, *, is_probe: bool) -> None:
        """Report the answer to the breaker, unless only this job's calls fail. Once the breaker is
        open, only its probes' failures count: the other calls began before."""
        breaker, queue = self.breakers[name], self.queues[name]
        key_is_refused = self._metrics.provider_credentials_refused.labels(name)
        if isinstance(answer, StatusUnavailable):
            log.warning("a status call failed", provider=name, reason=answer.reason)
            if answer.credentials_refused:
                key_is_refused.set(1)
        if not isinstance(answer, StatusUnavailable) or answer.only_this_job:
            queue.answered(job_id)
            breaker.succeeded()
            # Other failures do not show that the key is accepted again.
            key_is_refused.set(0)
            return
        may_be_the_providers = queue.failed(job_id)
        counts = may_be_the_providers if breaker.state == "closed" else is_probe
        if counts:
            now = self._clock.monotonic()
            breaker.failed(now, credentials_refused=answer.credentials_refused)

    async def ask_soon(
        self, provider: Provider, job_id: str, job: UpstreamJob
    ) -> StatusAnswer | None:
        """Make a status call if it can start within `MAX_RATE_WAIT` and the breaker allows it,
        else return None.

        Such calls use at most half of the slots: a few that hang must not stop the polls. They
        reserve the next call, which a poll never does, so they also have a rate of their own.
        """
        now = self._clock.monotonic()
        pause = max(self.seconds_until_free(), self._clients_limiter.seconds_until_free(now))
        if pause > MAX_RATE_WAIT or self._asked_soon >= max(1, self.concurrency // 2):
            return None
        probe_at = self.breakers[provider.name].probe_at
        is_open = probe_at is not None and now < probe_at
        if is_open or self._under_way >= self.concurrency:
            return None
        self.begin()
        self._clients_limiter.take(now)
        self._asked_soon += 1
        try:
            await self._clock.sleep(pause)
            return await self.ask(provider, job_id, lambda asked: asked.status(job))
        finally:
            self._asked_soon -= 1
            self.end()
