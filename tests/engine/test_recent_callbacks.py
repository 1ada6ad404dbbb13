"""The memory of recently stored callbacks."""

import pytest

from receiver.engine import recent_callbacks
from receiver.engine.recent_callbacks import REMEMBERED_SECONDS, RecentCallbacks
from store.callbacks import Receipt
from tests.support.manual_clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def recent(clock: ManualClock) -> RecentCallbacks:
    return RecentCallbacks(clock, retention=REMEMBERED_SECONDS)


@pytest.mark.parametrize(
    ("receipt", "again"),
    [
        (Receipt.ACCEPTED, Receipt.DUPLICATE),
        (Receipt.DUPLICATE, Receipt.DUPLICATE),
        (Receipt.REJECTED, Receipt.REJECTED),
        (Receipt.CONFLICT, Receipt.CONFLICT),
        (Receipt.SURPLUS, None),
    ],
)
def test_a_duplicate_is_answered_as_the_store_would(
    recent: RecentCallbacks, receipt: Receipt, again: Receipt | None
) -> None:
    assert recent.answer(("job", b"digest", False)) is None

    recent.remember(("job", b"digest", False), receipt)

    assert recent.answer(("job", b"digest", False)) is again
    assert recent.answer(("another", b"digest", False)) is None
    assert recent.answer(("job", b"other", False)) is None
    assert recent.answer(("job", b"digest", True)) is None, "a signed copy is not a duplicate"


def test_a_callback_is_forgotten_after_a_minute(
    recent: RecentCallbacks, clock: ManualClock
) -> None:
    recent.remember(("job", b"", False), Receipt.ACCEPTED)
    clock.advance(REMEMBERED_SECONDS - 0.1)
    assert recent.answer(("job", b"", False)) is Receipt.DUPLICATE
    clock.advance(0.1)
    assert recent.answer(("job", b"", False)) is None


def test_a_callback_is_forgotten_before_its_job_is_removed(clock: ManualClock) -> None:
    recent = RecentCallbacks(clock, retention=2.0)
    recent.remember(("job", b"", False), Receipt.ACCEPTED)
    clock.advance(2.0)
    assert recent.answer(("job", b"", False)) is None


def test_the_oldest_callback_is_dropped(
    recent: RecentCallbacks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent_callbacks, "MAX_RECENT", 3)
    for job in ("a", "b", "c", "a", "d"):
        recent.remember((job, b"", False), Receipt.DUPLICATE)

    kept = [job for job in "abcd" if recent.answer((job, b"", False))]

    assert kept == ["a", "c", "d"]
