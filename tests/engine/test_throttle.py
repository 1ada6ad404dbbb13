"""Pauses after failures, and the limit on calls per second."""

from collections.abc import Sequence

import pytest

from receiver.engine.throttle import MAX_THROTTLES, Pauses, RateLimiter, Throttle, Throttles

FIVE = Pauses(after=5, first=1.0, longest=60.0)
ONE = Pauses(after=1, first=1.0, longest=60.0)


def failing(throttle: Throttle, times: Sequence[float]) -> list[float]:
    """Let calls at these times begin and fail at once; returns the pause after each."""
    pauses = []
    for at in times:
        throttle.began(at)
        throttle.failed(at, at)
        pauses.append(throttle.seconds_left(at))
    return pauses


@pytest.mark.parametrize(
    ("pauses", "times", "expected"),
    [
        (FIVE, range(7), [0, 0, 0, 0, 1, 2, 4]),
        (ONE, (0, 1, 3, 7, 15, 31, 63, 123), [1, 2, 4, 8, 16, 32, 60, 60]),
        (Pauses(after=1, first=1.0, longest=1.0), (0, 1, 2), [1, 1, 1]),
        (Pauses(after=2, first=60.0, longest=60.0), (0, 0, 60), [0, 60, 60]),
    ],
)
def test_pauses_double_up_to_the_longest(
    pauses: Pauses, times: Sequence[float], expected: list[float]
) -> None:
    assert failing(Throttle(pauses), times) == expected


def test_failures_must_be_in_a_row() -> None:
    throttle = Throttle(FIVE)
    failing(throttle, range(4))
    throttle.succeeded(4)
    assert failing(throttle, range(5, 9)) == [0, 0, 0, 0]
    assert throttle.state == "closed"


def test_after_a_pause_one_call_at_a_time_is_a_probe() -> None:
    throttle = Throttle(ONE)
    failing(throttle, [0])
    assert (throttle.state, throttle.admits(0.9), throttle.admits(1)) == ("open", False, True)

    throttle.began(1)
    assert (throttle.state, throttle.admits(1)) == ("half_open", False)

    throttle.abandoned(1)
    assert (throttle.state, throttle.admits(1)) == ("open", True)

    throttle.began(1)
    throttle.succeeded(1)
    assert (throttle.state, throttle.admits(1)) == ("closed", True)
    assert failing(throttle, [2]) == [1], "it begins again with the first pause"


@pytest.mark.parametrize("result", ["failed", "succeeded", "abandoned"])
def test_a_call_that_was_under_way_when_the_pause_began_counts_for_nothing(result: str) -> None:
    throttle = Throttle(ONE)
    failing(throttle, [5])
    throttle.began(6)  # the probe

    if result == "failed":
        throttle.failed(4.9, 7)
    elif result == "succeeded":
        throttle.succeeded(4.9)
    else:
        throttle.abandoned(4.9)

    assert (throttle.state, throttle.seconds_left(5)) == ("half_open", 1)


def test_a_call_that_was_admitted_before_the_pause_is_no_probe() -> None:
    """Between the two, the call is stored."""
    throttle = Throttle(ONE)
    assert throttle.admits(0)
    failing(throttle, [1])
    throttle.began(0)
    assert throttle.admits(2)

    throttle.succeeded(0)
    assert (throttle.state, throttle.admits(2)) == ("open", True)


@pytest.mark.parametrize(("asked", "pause"), [(None, 1), (0.25, 0.25), (3600, 1), (0, 0)])
def test_a_shorter_retry_after_counts(asked: float | None, pause: float) -> None:
    throttle = Throttle(ONE)
    throttle.failed(0, 0, asked)
    assert throttle.seconds_left(0) == pause
    assert throttle.state == "open"

    throttle.failed(1, 1)
    assert throttle.seconds_left(1) == 2


def test_a_final_failure_needs_no_others() -> None:
    throttle = Throttle(FIVE)
    throttle.failed(0, 0, final=True)
    assert throttle.seconds_left(0) == 1


def test_only_keys_that_failed_are_remembered_and_a_bounded_number_of_them() -> None:
    throttles = Throttles[int](ONE)
    throttles[-1].began(0)
    throttles[-1].succeeded(0)
    assert throttles.pauses_left(0) == []

    for key in range(MAX_THROTTLES + 1):
        throttles.remember(key).failed(0, 0)

    assert throttles[0].state == "closed", "it failed longest ago"
    assert throttles[1].state == "open"
    assert len(throttles.pauses_left(0.5)) == MAX_THROTTLES
    assert throttles.pauses_left(1) == []


@pytest.mark.parametrize("rate", [1, 3, 10, 50, 330])
def test_the_rate_is_kept_over_any_time_however_often_it_is_asked(rate: int) -> None:
    limiter, calls = RateLimiter(rate), 0
    for step in range(1_000):
        now = step / 100
        for _ in range(limiter.free(now)):
            limiter.take(now)
            calls += 1
        assert limiter.free(now) == 0
    assert 9.98 * rate - 1 <= calls <= 10 * rate + max(1, rate // 10)


def test_unused_calls_add_up_for_a_tenth_of_a_second() -> None:
    limiter = RateLimiter(50)
    assert limiter.free(1_000) == 5
    limiter.take(1_000)
    assert limiter.free(1_000) == 4
    for _ in range(4):
        limiter.take(1_000)
    assert limiter.seconds_until_free(1_000) == pytest.approx(0.02)
