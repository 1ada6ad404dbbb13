"""Decides what follows a delivery attempt. Pure."""

from collections.abc import Sequence

from store.records.deliveries import DeliveryState
from store.records.times import Millis

JITTER = 0.1
"""Maximum jitter added to a gap, as a fraction of it."""


def after_attempt(
    status_code: int | None,
    retry_after: Millis | None,
    step: int,
    schedule: Sequence[Millis],
    now: Millis,
    jitter: float,
) -> tuple[DeliveryState, Millis | None]:
    """A delivery's state after attempt number `step` (from 0) of the schedule, and the time of the
    next attempt, if it is pending.

    `jitter` from 0 to 1 scales `JITTER`. 2xx is delivered, and 410 disables the URL for the job. A
    Retry-After with 429 or 503 can lengthen the gap; everything else follows the schedule.
    """
    if status_code is not None and 200 <= status_code < 300:
        return DeliveryState.DELIVERED, None
    if status_code == 410:
        return DeliveryState.DISABLED, None
    if step + 1 >= len(schedule):
        return DeliveryState.EXHAUSTED, None
    gap = round(schedule[step + 1] * (1 + JITTER * jitter))
    if status_code in (429, 503) and retry_after is not None:
        gap = max(gap, retry_after)
    return DeliveryState.PENDING, now + gap
