"""When to stop asking a provider that does not answer, and when to try again. Pure: times in
seconds on a clock that never steps, passed in."""

from typing import Literal

State = Literal["closed", "half_open", "open"]

FAILURES_TO_OPEN = 5
FIRST_PROBE = 1.0
LONGEST_PROBE = 60.0


class Breaker:
    """Opens after five failures in a row, or one refusal of our key; then one call at a time is let
    through as a probe: after 1 s, doubling to 60 s. The first success closes it."""

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
        """When the next probe may be made; None where none is due to be."""
        return None if self._probing else self._probe_at

    def allows(self, now: float) -> bool:
        """Whether a call may be made; where it is a probe, no second one until it has ended."""
        if self._probe_at is None:
            return True
        if self._probing or now < self._probe_at:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        """A call was answered."""
        self._failures = 0
        self._probe_at = None
        self._pause = FIRST_PROBE
        self._probing = False

    def failed(self, now: float, *, by_credentials: bool) -> None:
        """A call got no answer, or the key was refused."""
        self._failures += 1
        if self._probe_at is not None:
            if self._probing:
                self._pause = min(self._pause * 2, LONGEST_PROBE)
                self._probe_at = now + self._pause
            self._probing = False
        elif by_credentials or self._failures >= FAILURES_TO_OPEN:
            self._probe_at = now + self._pause

    def abandoned(self) -> None:
        """A call was cancelled: it says nothing, and was no probe."""
        self._probing = False
