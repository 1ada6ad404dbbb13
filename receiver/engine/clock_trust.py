"""Decides whether the wall clock can be trusted for removing data. Pure: times are passed in.

A clock that is set years ahead makes everything old at once. So old data is removed only while the
wall clock agrees with the monotonic clock, which cannot be set.
"""

from receiver.domain.schedule import DAY, HOUR, MINUTE
from store.records.times import Millis

CLOCK_TOLERANCE: Millis = MINUTE
"""Maximum drift between the two clocks from one check to the next: more than NTP ever slews."""
PROBATION: Millis = HOUR
"""How long the clock must run without another step before its new time is trusted."""
STALE: Millis = DAY
"""Maximum age of the newest stored job for the clock to be trusted at once at startup."""


class ClockTrust:
    """Tracks the difference between the wall clock and the monotonic clock.

    After a step back, the new time is trusted after an hour without another step. After a step
    forward, the skipped time (or the whole retention, if shorter) must also have really passed: so
    a step alone never makes anything old. A clock that returns to the trusted time is trusted at
    once.

    A step before the start cannot be measured: a doubtful clock is then trusted after an hour.
    """

    def __init__(
        self, now: Millis, monotonic: float, newest: Millis | None, retention: Millis
    ) -> None:
        """`monotonic` is in seconds. `newest` is the time of the newest stored job: if `now` is far
        from it, the clock may be wrong, or the service was down for a long time."""
        self._retention = retention
        self._seen = _distance(now, monotonic)
        self._trusted: Millis | None = self._seen
        self._trusted_from: Millis = 0
        """On the monotonic clock, in milliseconds."""
        if newest is not None and not newest - CLOCK_TOLERANCE <= now <= newest + STALE:
            self._trusted = None
            self._begin_probation(monotonic)

    def check(self, now: Millis, monotonic: float) -> bool:
        """Compare the clocks, and return whether the wall clock is trusted now. Call this at least
        once a minute: `CLOCK_TOLERANCE` applies to the time between two checks."""
        seen, before = _distance(now, monotonic), self._seen
        self._seen = seen
        if self._trusted is not None and abs(seen - self._trusted) <= CLOCK_TOLERANCE:
            self._trusted = seen
        elif abs(seen - before) > CLOCK_TOLERANCE:
            self._begin_probation(monotonic)
            return False
        elif monotonic * 1_000 >= self._trusted_from:
            self._trusted = seen
        return self._trusted == seen

    def _begin_probation(self, monotonic: float) -> None:
        skipped = 0 if self._trusted is None else self._seen - self._trusted
        wait = max(PROBATION, min(skipped, self._retention))
        self._trusted_from = int(monotonic * 1_000) + wait


def _distance(now: Millis, monotonic: float) -> Millis:
    return now - int(monotonic * 1_000)
