"""A rate limiter and a circuit breaker for calls to providers. Pure: monotonic times in seconds are
passed in."""

from typing import Literal

State = Literal["closed", "half_open", "open"]

FAILURES_TO_OPEN = 5
FIRST_PROBE = 1.0
LONGEST_PROBE = 60.0


class Breaker:
    """A circuit breaker: opens after five consecutive failures, or at once if our key is refused.
    While it is open, single calls are allowed as probes: after 1 s, doubling to 60 s. The first
    success closes it."""

    def __init__(self) -> None:
        self._failures = 0
        self._probe_at: float | None = None
        self._pause = FIRST_PROBE
        self._probing = False

    @property
    def state(self) -> State:
        if self._probe_at is None:
            return "closed"
        return "half_open" if self._probing else "open"

    @property
    def probe_at(self) -> float | None:
        """When the next probe is allowed; None while closed, and while a probe is under way."""
        return None if self._probing else self._probe_at

    def try_acquire(self, now: float) -> bool:
        """Returns whether a call is allowed. If it is a probe, it counts as begun: no other is
        allowed until it has ended."""
        if self._probe_at is None:
            return True
        if self._probing or now < self._probe_at:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        """Record that a call was answered: close the breaker."""
        self._failures = 0
        self._probe_at = None
        self._pause = FIRST_PROBE
        self._probing = False

    def failed(self, now: float, *, credentials_refused: bool) -> None:
        """Record that a call got no usable answer, or that our key was refused."""
        self._failures += 1
        if self._probe_at is not None:
            if self._probing:
                self._pause = min(self._pause * 2, LONGEST_PROBE)
                self._probe_at = now + self._pause
            self._probing = False
        elif credentials_refused or self._failures >= FAILURES_TO_OPEN:
            self._probe_at = now + self._pause

    def abandoned(self) -> None:
        """Record that a call was cancelled or raised an error: neither a success nor a failure.
        Another probe is allowed."""
        self._probing = False


class RateLimiter:
    """A rate limiter: at most `rate` calls per second, evenly spaced. Unused calls add up for a
    tenth of a second at most (but one never expires), so overdue work does not start in a burst."""

    def __init__(self, rate: float) -> None:
        self._gap = 1.0 / rate
        self._burst = max(self._gap, 0.1)
        self._next = 0.0

    def free(self, now: float) -> int:
        """How many calls may be made now."""
        earliest = max(self._next, now - self._burst + self._gap)
        return max(0, int((now - earliest) / self._gap + 1e-9) + 1) if earliest <= now else 0

    def take(self, now: float) -> None:
        """Count a call."""
        self._next = max(self._next, now - self._burst + self._gap) + self._gap

    def give_back(self) -> None:
        """Uncount a call that was not made."""
        self._next -= self._gap

    def seconds_until_free(self, now: float) -> float:
        """Seconds until the next call may be made."""
        return max(0.0, self._next - now)
