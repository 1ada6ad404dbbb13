"""When a clock that was set is trusted again."""

import pytest

from receiver.domain.schedule import DAY, HOUR, MINUTE, SECOND
from receiver.engine.clock_trust import ClockTrust
from store.records.times import Millis

NOW: Millis = 1_767_323_045_678
RETENTION = 30 * DAY


class World:
    """Two clocks that are compared twice a minute."""

    def __init__(self, newest: Millis | None = NOW, now: Millis = NOW) -> None:
        self.now, self.monotonic = now, 1_000.0
        self._trust = ClockTrust(now, self.monotonic, newest, RETENTION)

    def look(self) -> bool:
        return self._trust.check(self.now, self.monotonic)

    def after(self, passed: Millis) -> bool:
        """Whether the clock is trusted after this time."""
        trusted = self.look()
        for _ in range(passed // (30 * SECOND)):
            self.now += 30 * SECOND
            self.monotonic += 30.0
            trusted = self.look()
        return trusted


@pytest.mark.parametrize("newest", [None, NOW + MINUTE, NOW, NOW - DAY])
def test_a_start_that_fits_what_is_stored_is_trusted_at_once(newest: Millis | None) -> None:
    assert World(newest).look()


@pytest.mark.parametrize("newest", [NOW + DAY, NOW - 2 * DAY, NOW - 40 * DAY, NOW - 3_650 * DAY])
def test_a_start_far_from_what_is_stored_is_trusted_after_an_hour(newest: Millis) -> None:
    world = World(newest)
    assert not world.after(HOUR - MINUTE)
    assert world.after(MINUTE)


def test_a_clock_that_is_slewed_is_trusted() -> None:
    world = World()
    for _ in range(10_000):
        world.now += 15  # what a slew of 500 ppm makes of half a minute
        assert world.after(30 * SECOND)


@pytest.mark.parametrize(
    ("step", "wait"), [(3_650 * DAY, RETENTION), (5 * HOUR, 5 * HOUR), (-10 * DAY, HOUR)]
)
def test_what_was_skipped_has_to_pass(step: Millis, wait: Millis) -> None:
    """Set years ahead: trusted once the retention has really passed. Set back: after an hour."""
    world = World()
    assert world.look()
    world.now += step
    assert not world.after(wait - MINUTE)
    assert world.after(MINUTE)


def test_a_machine_that_boots_in_1970_and_is_corrected_waits_an_hour_and_no_longer() -> None:
    world = World(newest=NOW, now=0)
    assert not world.after(10 * MINUTE)
    world.now = NOW + HOUR
    assert not world.after(HOUR - MINUTE)
    assert world.after(MINUTE)


def test_each_further_step_begins_anew() -> None:
    world = World()
    world.now -= DAY
    assert not world.after(50 * MINUTE)
    world.now -= DAY
    assert not world.after(50 * MINUTE)
    assert world.after(10 * MINUTE)
