"""The memory of callbacks that were stored a moment ago."""

import pytest

from receiver.actions import recent_callbacks
from receiver.actions.recent_callbacks import SECONDS, RecentCallbacks
from receiver.clock import SystemClock
from store.contract import Receipt


class SetClock(SystemClock):
    """A clock that stands where a test puts it."""

    def __init__(self) -> None:
        self.at = 1_000.0

    def monotonic(self) -> float:
        return self.at


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def recent(clock: SetClock) -> RecentCallbacks:
    return RecentCallbacks(clock)


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
def test_a_stored_callback_is_answered_as_the_store_would(
    recent: RecentCallbacks, receipt: Receipt, again: Receipt | None
) -> None:
    assert recent.answer(("job", b"digest", False)) is None

    recent.remember(("job", b"digest", False), receipt)

    assert recent.answer(("job", b"digest", False)) is again
    assert recent.answer(("another", b"digest", False)) is None
    assert recent.answer(("job", b"other", False)) is None
    assert recent.answer(("job", b"digest", True)) is None, "its signature may make it another"


def test_it_is_forgotten_after_its_time(recent: RecentCallbacks, clock: SetClock) -> None:
    recent.remember(("job", b"", False), Receipt.ACCEPTED)
    clock.at += SECONDS - 0.1
    assert recent.answer(("job", b"", False)) is Receipt.DUPLICATE
    clock.at += 0.1
    assert recent.answer(("job", b"", False)) is None


def test_the_oldest_goes(recent: RecentCallbacks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_callbacks, "CALLBACKS", 3)
    for job in ("a", "b", "c", "a", "d"):
        recent.remember((job, b"", False), Receipt.DUPLICATE)

    kept = [job for job in "abcd" if recent.answer((job, b"", False))]

    assert kept == ["a", "c", "d"]
