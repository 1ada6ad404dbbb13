"""Limits all status calls to providers."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import structlog

from receiver.clock import Clock
from receiver.domain.answers import StatusAnswer, StatusUnavailable
from receiver.engine.failure_log import FailureLog
from receiver.engine.throttle import Pauses, RateLimiter, State, Throttles
from receiver.telemetry.metrics import Metrics
from receiver.upstream.contract import Provider, UpstreamJob
from store.records.times import Millis

PROVIDER_PAUSES: Final = Pauses(after=5, first=1.0, longest=60.0)
LIMITS: Final = ("POLL_RATE", "POLL_CONCURRENCY")
LATE_AFTER: Final[Millis] = 5_000
"""A call that is due for longer is late: the limits hold it up, and not a short burst."""
WARN_SECONDS: Final = 60.0
"""The shortest time between two warnings about that."""

log = structlog.get_logger()


class StatusCalls:
    """One rate and one number of calls at once for all providers, and a throttle for each."""

    def __init__(self, clock: Clock, metrics: Metrics, rate: float, concurrency: int) -> None:
        """`rate` is in calls per second."""
        self.concurrency = concurrency
        self._clock = clock
        self._metrics = metrics
        self._limiter = RateLimiter(rate)
        self._throttles = Throttles[str](PROVIDER_PAUSES)
        self._failures = FailureLog(clock, "status calls", "provider")
        self.late_by: str | None = None
        """The setting that holds up calls that are due, if they are late."""
        self._warned_at = float("-inf")
        self._for_clients = 0
        """Calls for clients that are under way."""

    def state(self, provider: str) -> State:
        """Whether calls to the provider pause."""
        return self._throttles[provider].state

    def admits_one(self, provider: str) -> bool:
        """Whether a pause is over, and a probe may begin."""
        return self._throttles[provider].admits(self._clock.monotonic())

    def free(self) -> int:
        """How many calls the rate allows now."""
        return self._limiter.free(self._clock.monotonic())

    def seconds_until_free(self) -> float:
        return self._limiter.seconds_until_free(self._clock.monotonic())

    def count(self) -> None:
        """Count a call that no throttle stops, against the rate."""
        self._limiter.take(self._clock.monotonic())

    def note_wait(self, setting: str, waited: Millis) -> None:
        """Note for how long calls that begin now have been due, while others still wait because of
        this setting; 0 if none do."""
        now = self._clock.monotonic()
        self.late_by = setting if waited > LATE_AFTER else None
        for each in LIMITS:
            self._metrics.status_calls_limited.labels(each).set(each == self.late_by)
        if waited > LATE_AFTER and now - self._warned_at >= WARN_SECONDS:
            self._warned_at = now
            log.warning(
                "outcomes come late, because status calls are at their limit",
                setting=f"RECEIVER_{setting}",
                late_seconds=waited / 1_000,
            )

    async def ask(self, name: str, call: Callable[[], Awaitable[StatusAnswer]]) -> StatusAnswer:
        """Make a status call to the provider `name`. While calls to it pause, it counts as failed
        without being made."""
        began = self._clock.monotonic()
        throttle = self._throttles[name]
        if not throttle.admits(began):
            self._metrics.status_polls.labels(name, "breaker_open").inc()
            return StatusUnavailable("calls to the provider pause")
        self._limiter.take(began)
        throttle.began(began)
        try:
            answer = await call()
        except BaseException:
            throttle.abandoned(began)
            raise
        self._metrics.status_polls.labels(name, answer.outcome).inc()
        return self._learn(name, began, answer)

    async def ask_now(self, provider: Provider, job: UpstreamJob) -> StatusAnswer | None:
        """Make a status call for a client if the rate allows one now, else return None.

        Such calls use at most half of the slots: a few that hang must not stop the polls.
        """
        too_many = self._for_clients >= max(1, self.concurrency // 2)
        if too_many or self.free() <= 0 or not self.admits_one(provider.name):
            return None
        self._for_clients += 1
        try:
            return await self.ask(provider.name, partial(provider.status, job))
        finally:
            self._for_clients -= 1

    def _learn(self, name: str, began: float, answer: StatusAnswer) -> StatusAnswer:
        """Count a call that was answered or not. An answer that is of no use for one job alone does
        not count as a failure."""
        key_is_refused = self._metrics.provider_credentials_refused.labels(name)
        if not isinstance(answer, StatusUnavailable) or answer.only_this_job:
            self._throttles[name].succeeded(began)
            # Other failures do not show that the key is accepted again.
            key_is_refused.set(0)
            self._failures.succeeded(name)
            return answer
        self._failures.failed(name, answer.reason)
        if answer.credentials_refused:
            key_is_refused.set(1)
        throttle, now = self._throttles.remember(name), self._clock.monotonic()
        throttle.failed(began, now, final=answer.credentials_refused)
        return answer
