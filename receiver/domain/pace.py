"""How fast calls may follow one another: one rate for all of them. Pure, in seconds, passed in."""


class Pace:
    """At most `rate` calls a second, evenly: what was not used is saved up for a tenth of a second
    only, so that overdue work is spread and not fired at once."""

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

    def wait(self, now: float) -> float:
        """Seconds until a call is free."""
        return max(0.0, self._next - now)
