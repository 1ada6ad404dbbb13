"""What follows from an attempt to deliver a relay message, and when a host is held back. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from store.records import DeliveryState, Millis

CONNECT_FAILURES_TO_HOLD = 5
PROBE_EVERY: Millis = 60_000
JITTER = 0.1
"""The most that is added to a gap, as a share of it."""


@dataclass(frozen=True, slots=True)
class Next:
    """Where a delivery stands after an attempt."""

    state: DeliveryState
    at: Millis | None = None
    """When it is tried again; None unless it is pending."""
    address_off: bool = False
    """410: nothing more is to be sent to this address for this job."""


def after_attempt(
    status_code: int | None,
    retry_after: Millis | None,
    step: int,
    schedule: Sequence[Millis],
    now: Millis,
    chance: float,
) -> Next:
    """What follows from the attempt number `step` (from 0) of the schedule.

    `chance` from 0 to 1 chooses the jitter. Contract 10: 2xx is delivered, 410 turns the address
    off, 429 and 503 honour Retry-After, everything else follows the schedule.
    """
    if status_code is not None and 200 <= status_code < 300:
        return Next(DeliveryState.DELIVERED)
    if status_code == 410:
        return Next(DeliveryState.DISABLED, address_off=True)
    if step + 1 >= len(schedule):
        return Next(DeliveryState.EXHAUSTED)
    gap = round(schedule[step + 1] * (1 + JITTER * chance))
    if status_code in (429, 503) and retry_after is not None:
        gap = max(gap, retry_after)
    return Next(DeliveryState.PENDING, now + gap)


class HostGate:
    """Whether a host may be called: after five connect failures in a row it gets one attempt a
    minute, until one connects."""

    def __init__(self) -> None:
        self._failures = 0
        self._probe_at: Millis = 0

    @property
    def held(self) -> bool:
        """Whether it gets single probes only."""
        return self._failures >= CONNECT_FAILURES_TO_HOLD

    def places(self, now: Millis, most: int) -> int:
        """How many attempts may be under way at once."""
        if not self.held:
            return most
        return 1 if now >= self._probe_at else 0

    def connected(self) -> None:
        """An attempt had a connection, whatever came of it."""
        self._failures = 0

    def failed(self, now: Millis) -> None:
        """An attempt had none."""
        self._failures += 1
        self._probe_at = now + PROBE_EVERY
