"""What follows an attempt to deliver a webhook: done, retry or give up."""

import pytest

from receiver.webhooks.retries import JITTER, after_attempt
from store.records.deliveries import DeliveryState

NOW = 1_767_323_045_678
GAPS = (0, 5_000, 300_000)
PENDING, DELIVERED, _, EXHAUSTED, DISABLED = DeliveryState


@pytest.mark.parametrize(
    ("status_code", "retry_after", "step", "state", "gap"),
    [
        (200, None, 0, DELIVERED, None),
        (299, 9_000, 2, DELIVERED, None),
        (410, None, 0, DISABLED, None),
        *((code, None, 0, PENDING, 5_000) for code in (None, 199, 302, 404, 429, 500, 503)),
        *((code, 9_000, 0, PENDING, 9_000) for code in (429, 503)),
        (503, 1_000, 1, PENDING, 300_000),
        (500, 9_000, 0, PENDING, 5_000),
        (503, 9_000, 2, EXHAUSTED, None),
    ],
)
def test_an_answer_and_the_schedule_decide(
    status_code: int | None,
    retry_after: int | None,
    step: int,
    state: DeliveryState,
    gap: int | None,
) -> None:
    after = after_attempt(status_code, retry_after, step, GAPS, NOW, jitter=0)

    assert after == (state, None if gap is None else NOW + gap)


def test_jitter_makes_a_gap_longer_by_a_tenth_at_most() -> None:
    assert after_attempt(500, None, 0, GAPS, NOW, jitter=1) == (PENDING, NOW + 5_000 * (1 + JITTER))
