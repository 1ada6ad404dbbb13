"""Whether a call may go out now: limits, pauses after failures, and calls per second."""

from collections.abc import Sequence

import pytest

from receiver.engine.gate import MAX_THROTTLES, Gate, Keys, Limit, Pauses, RateLimiter
from store.lanes import Candidate
from tests.support.manual_clock import ManualClock

FIVE = Pauses(after=5, first=1.0, longest=60.0)
ONE = Pauses(after=1, first=1.0, longest=60.0)
HOST = ("host", "a:443")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def gate_of(clock: ManualClock, pauses: Pauses, at_once: int = 9) -> Gate:
    return Gate(clock, {"host": Limit(at_once, pauses), "user": Limit(at_once=2)})


def room(gate: Gate, under_way: Sequence[Keys] = ()) -> int:
    """How many calls to the host may begin."""
    return gate.view(under_way).room(HOST)


def left(gate: Gate, clock: ManualClock) -> float:
    """How long the pause of the host still lasts."""
    return gate.throttle(HOST).seconds_left(clock.monotonic())


def fail(gate: Gate, clock: ManualClock, retry_after: float | None = None) -> float:
    """Let a call begin and fail at once; returns the pause after it."""
    gate.began([HOST], clock.monotonic())
    gate.failed([HOST], clock.monotonic(), retry_after)
    return left(gate, clock)


def failing(gate: Gate, clock: ManualClock, gaps: Sequence[float]) -> list[float]:
    """Let calls fail after these gaps; returns the pause after each."""
    pauses = []
    for gap in gaps:
        clock.advance(gap)
        pauses.append(fail(gate, clock))
    return pauses


@pytest.mark.parametrize(
    ("pauses", "gaps", "expected"),
    [
        (FIVE, [1] * 7, [0, 0, 0, 0, 1, 2, 4]),
        (ONE, (1, 1, 2, 4, 8, 16, 32, 60), [1, 2, 4, 8, 16, 32, 60, 60]),
        (Pauses(after=1, first=1.0, longest=1.0), [1] * 3, [1, 1, 1]),
        (Pauses(after=2, first=60.0, longest=60.0), (1, 1, 60), [0, 60, 60]),
    ],
)
def test_pauses_double_up_to_the_longest(
    clock: ManualClock, pauses: Pauses, gaps: Sequence[float], expected: list[float]
) -> None:
    assert failing(gate_of(clock, pauses), clock, gaps) == pytest.approx(expected)


def test_failures_must_be_in_a_row(clock: ManualClock) -> None:
    gate = gate_of(clock, FIVE)
    failing(gate, clock, [1] * 4)
    gate.succeeded([HOST], clock.monotonic())
    assert failing(gate, clock, [1] * 4) == [0, 0, 0, 0]
    assert (gate.throttle(HOST).state, room(gate)) == ("closed", 9)


def test_after_a_pause_one_call_at_a_time_is_a_probe(clock: ManualClock) -> None:
    gate = gate_of(clock, ONE)

    def seen() -> tuple[str, int, bool]:
        return gate.throttle(HOST).state, room(gate), gate.admits([HOST])

    fail(gate, clock)
    clock.advance(0.9)
    assert seen() == ("open", 0, False)
    clock.advance(0.11)
    assert seen() == ("open", 1, True)

    began = clock.monotonic()
    gate.began([HOST], began)
    assert seen() == ("half_open", 0, False)

    gate.abandoned([HOST], began)
    assert seen() == ("open", 1, True)

    gate.began([HOST], began)
    gate.succeeded([HOST], began)
    assert seen() == ("closed", 9, True)
    assert failing(gate, clock, [1]) == [1], "it begins again with the first pause"


@pytest.mark.parametrize("result", ["failed", "succeeded", "abandoned"])
def test_a_call_that_was_under_way_when_the_pause_began_counts_for_nothing(
    clock: ManualClock, result: str
) -> None:
    gate, before = gate_of(clock, ONE), clock.monotonic()
    clock.advance(0.1)
    fail(gate, clock)
    clock.advance(1)
    gate.began([HOST], clock.monotonic())  # the probe
    was = gate.throttle(HOST)

    getattr(gate, result)([HOST], before)

    assert gate.throttle(HOST) == was
    assert was.state == "half_open"


def test_a_call_that_was_admitted_before_the_pause_is_no_probe(clock: ManualClock) -> None:
    """Between the two, the call is stored."""
    gate, view = gate_of(clock, ONE), gate_of(clock, ONE).view()
    assert view.room(HOST) > 0
    clock.advance(1)
    fail(gate, clock)
    gate.began([HOST], view.at)
    clock.advance(1.01)
    assert room(gate) == 1

    gate.succeeded([HOST], view.at)
    assert (gate.throttle(HOST).state, room(gate)) == ("open", 1)


@pytest.mark.parametrize(("asked", "pause"), [(None, 1), (0.25, 0.25), (3600, 1), (0, 0)])
def test_a_shorter_retry_after_counts(
    clock: ManualClock, asked: float | None, pause: float
) -> None:
    gate = gate_of(clock, ONE)
    assert fail(gate, clock, asked) == pytest.approx(pause)
    assert gate.throttle(HOST).state == "open"

    clock.advance(1)
    assert fail(gate, clock) == pytest.approx(2)


def test_a_final_failure_needs_no_others(clock: ManualClock) -> None:
    gate = gate_of(clock, FIVE)
    gate.failed([HOST], clock.monotonic(), final=True)
    assert left(gate, clock) == 1


def test_only_keys_that_failed_are_remembered_and_a_bounded_number_of_them(
    clock: ManualClock,
) -> None:
    gate = gate_of(clock, ONE)
    gate.began([("host", -1)], clock.monotonic())
    gate.succeeded([("host", -1)], clock.monotonic())
    assert not gate.view().throttles

    for key in range(MAX_THROTTLES + 1):
        gate.failed([("host", key), ("user", key)], clock.monotonic())

    assert gate.throttle(("host", 0)).state == "closed", "it failed longest ago"
    assert gate.throttle(("host", 1)).state == "open"
    clock.advance(0.5)
    assert len(gate.view().pauses_left()) == MAX_THROTTLES
    clock.advance(0.51)
    assert gate.view().pauses_left() == []


def candidates(*wanted: str) -> list[Candidate]:
    """One for each user and host, `1 a`."""
    pairs = [each.split() for each in wanted]
    return [
        Candidate(f"msg_{number}", f"job_{number}", int(user), host, 0, 1)
        for number, (user, host) in enumerate(pairs)
    ]


def keys_of(each: Candidate) -> Keys:
    return ("host", each.peer), ("user", each.user_id)


def chosen(gate: Gate, under_way: Sequence[Keys], *wanted: str) -> list[str]:
    found = gate.view(under_way).choose(keys_of, candidates(*wanted))
    return [f"{each.user_id} {each.peer}" for each in found]


def test_a_call_needs_room_for_each_of_its_keys(clock: ManualClock) -> None:
    gate = gate_of(clock, ONE, at_once=3)
    assert chosen(gate, (), "1 a", "1 b", "1 c", "2 a", "3 a", "4 a") == [
        "1 a",
        "1 b",
        "2 a",
        "3 a",
    ]
    under_way = [(("host", "a"), ("user", 2)), (("host", "a"), ("user", 2))]
    assert chosen(gate, under_way, "2 b", "1 a", "3 a", "3 b") == ["1 a", "3 b"]


def test_after_a_pause_one_call_is_chosen(clock: ManualClock) -> None:
    gate = gate_of(clock, ONE)
    gate.failed([("host", "a")], clock.monotonic())
    assert chosen(gate, (), "1 a", "2 b") == ["2 b"]
    clock.advance(1.01)
    assert chosen(gate, (), "1 a", "2 a", "3 b") == ["1 a", "3 b"]


def test_a_view_stays_as_it_was(clock: ManualClock) -> None:
    """It is read in the writer's thread, more than once if the transaction is repeated."""
    gate = gate_of(clock, ONE)
    view = gate.view()
    gate.failed([("host", "a")], clock.monotonic())
    listed = candidates("1 a", "1 b")
    assert view.choose(keys_of, listed) == view.choose(keys_of, listed) == listed


def test_a_call_that_the_rate_does_not_allow_may_not_go(clock: ManualClock) -> None:
    gate = Gate(clock, {"host": Limit()}, RateLimiter(10))
    assert gate.admits([HOST])
    gate.began([HOST], clock.monotonic())
    assert not gate.admits([HOST])
    clock.advance(0.101)
    assert gate.admits([HOST])


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
