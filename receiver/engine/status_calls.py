"""Limits all status calls to providers."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import structlog

from receiver.clock import Clock
from receiver.domain.answers import StatusAnswer, StatusUnavailable
from receiver.engine.failure_log import FailureLog
from receiver.engine.gate import Gate, Keys, Limit, Pauses, RateLimiter, State
from receiver.telemetry.metrics import Metrics
from receiver.upstream.contract import Provider, UpstreamJob
from store.records.times import Millis

PROVIDER: Final = "provider"
"""The limit of the calls to one provider."""
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
        self.rate = RateLimiter(rate)
        self.gate = Gate(clock, {PROVIDER: Limit(pauses=PROVIDER_PAUSES)}, self.rate)
        self._failures = FailureLog(clock, "status calls", "provider")
        self.late_by: str | None = None
        """The setting that holds up calls that are due, if they are late."""
        self._warned_at = float("-inf")
        self._for_clients = 0
        """Calls for clients that are under way."""

    def state(self, provider: str) -> State:
        """Whether calls to the provider pause."""
        return self.gate.throttle((PROVIDER, provider)).state

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
        began, keys = self._clock.monotonic(), [(PROVIDER, name)]
        if not self.gate.throttle(keys[0]).room(began):
            self._metrics.status_polls.labels(name, "breaker_open").inc()
            return StatusUnavailable("calls to the provider pause")
        self.gate.began(keys, began)
        try:
            answer = await call()
        except BaseException:
            self.gate.abandoned(keys, began)
            raise
        self._metrics.status_polls.labels(name, answer.outcome).inc()
        return self._learn(name, keys, began, answer)

    async def ask_now(self, provider: Provider, job: UpstreamJob) -> StatusAnswer | None:
        """Make a status call for a client if the rate allows one now, else return None.

        Such calls use at most half of the slots: a few that hang must not stop the polls.
        """
        too_many = self._for_clients >= max(1, self.concurrency // 2)
        if too_many or not self.gate.admits([(PROVIDER, provider.name)]):
            return None
        self._for_clients += 1
        try:
            return await self.ask(provider.name, partial(provider.status, job))
        finally:
            self._for_clients -= 1

    def _learn(self, name: str, keys: Keys, began: float, answer: StatusAnswer) -> StatusAnswer:
        """Count a call that was answered or not. An answer that is of no use for one job alone does
        not count as a failure."""
        key_is_refused = self._metrics.provider_credentials_refused.labels(name)
        if not isinstance(answer, StatusUnavailable) or answer.only_this_job:
            self.gate.succeeded(keys, began)
            # Other failures do not show that the key is accepted again.
            key_is_refused.set(0)
            self._failures.succeeded(name)
            return answer
        self._failures.failed(name, answer.reason)
        if answer.credentials_refused:
            key_is_refused.set(1)
        self.gate.failed(keys, began, final=answer.credentials_refused)
        return answer
