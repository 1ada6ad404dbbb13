"""Limits on calls to others: how many a second, and pauses after failures. Pure: monotonic times in
seconds are passed in."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar

MAX_THROTTLES: Final = 10_000
"""Maximum number of throttles of one kind that are remembered; then the one that failed longest ago
is forgotten. Only what has failed is remembered at all."""

K = TypeVar("K", bound=Hashable)

State = Literal["closed", "half_open", "open"]


@dataclass(frozen=True, slots=True)
class Pauses:
    """When calls pause, and for how long."""

    after: int
    """Failures in a row before the first pause."""
    first: float
    """The first pause, in seconds. It doubles with each failure of a probe."""
    longest: float


class Throttle:
    """The calls to one provider, of one user to a provider, or to one host.

    After some failures in a row they pause. After a pause, one call at a time is a probe, until one
    succeeds. The result of a call that began before the last pause counts for nothing, so many
    calls that fail together count as one.
    """

    def __init__(self, pauses: Pauses) -> None:
        self._pauses = pauses
        self._failures = 0
        self._paused_at = float("-inf")
        self._until: float | None = None
        self._length = 0.0
        self._probing = False
        self.held_back_at = float("-inf")
        """When it last kept a call back, as its owner has noted."""

    @property
    def state(self) -> State:
        """As of a circuit breaker: `open` from the first pause to the first success, but for
        probes (`half_open`)."""
        if self._until is None:
            return "closed"
        return "half_open" if self._probing else "open"

    def seconds_left(self, now: float) -> float:
        """How long the pause still lasts; 0 if there is none, or it is over."""
        return 0.0 if self._until is None else max(0.0, self._until - now)

    def admits(self, now: float) -> bool:
        """Whether a call may begin."""
        return self._until is None or (now >= self._until and not self._probing)

    def probe_now(self, now: float) -> None:
        """End a pause that lasts: a probe may begin now."""
        if self._until is not None:
            self._until = min(self._until, now)

    def began(self, began: float) -> None:
        """A call begins, which was admitted at `began`: after a pause it is a probe. Its end is
        reported with the same time, in one of the next three ways."""
        if self._until is not None and began > self._paused_at:
            self._probing = True

    def succeeded(self, began: float) -> None:
        """A call that began at `began` was answered."""
        if began > self._paused_at:
            self._failures, self._until, self._probing = 0, None, False

    def abandoned(self, began: float) -> None:
        """A call has ended in neither way: another may be the probe. Changes nothing after another
        report."""
        if began > self._paused_at:
            self._probing = False

    def failed(
        self, began: float, now: float, retry_after: float | None = None, *, final: bool = False
    ) -> None:
        """A call failed. `retry_after`, in seconds, is the pause that was asked for: it counts if
        it is shorter than ours. `final`: no further failure is needed for a pause."""
        if began <= self._paused_at:
            return
        self._probing = False
        self._failures += 1
        if self._until is not None:
            self._length = min(self._length * 2, self._pauses.longest)
        elif final or self._failures >= self._pauses.after:
            self._length = self._pauses.first
        else:
            return
        pause = self._length if retry_after is None else min(self._length, retry_after)
        self._paused_at, self._until = now, now + pause


class Throttles(Generic[K]):
    """The throttles of one kind, by key. Only keys that failed are remembered."""

    def __init__(self, pauses: Pauses) -> None:
        self._pauses = pauses
        self._of: OrderedDict[K, Throttle] = OrderedDict()

    def __getitem__(self, key: K) -> Throttle:
        """The key's throttle; a new one is not remembered."""
        return self._of.get(key) or Throttle(self._pauses)

    def remember(self, key: K) -> Throttle:
        """The key's throttle, to which a failure is now reported."""
        throttle = self._of.setdefault(key, Throttle(self._pauses))
        self._of.move_to_end(key)
        if len(self._of) > MAX_THROTTLES:
            self._of.popitem(last=False)
        return throttle

    def pauses_left(self, now: float) -> list[float]:
        """How many seconds each pause still lasts."""
        return [left for throttle in self._of.values() if (left := throttle.seconds_left(now))]


class RateLimiter:
    """At most `rate` calls per second, evenly spaced. Unused calls add up for at most a tenth of a
    second (but one never expires), so overdue work does not start in a burst."""

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

    def seconds_until_free(self, now: float) -> float:
        """Seconds until the next call may be made."""
        return max(0.0, self._next - now)
