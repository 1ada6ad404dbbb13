"""`Slots`: which attempts one pass of the relay may begin."""

from receiver.domain.relay import KnownHosts
from receiver.engine.relay_slots import (
    PER_HOST,
    PER_USER,
    UNPROVEN_AT_ONCE,
    UNPROVEN_FREELY,
    InFlight,
    Slots,
)

ANN, BOB = 1, 2
NOW = 1_000.0


def known(*answering: str) -> KnownHosts:
    hosts = KnownHosts()
    for host in answering:
        hosts.record_attempt(ANN, host, NOW, answered=True, connected=True)
    return hosts


def in_flight(*attempts: tuple[int, str], proven: bool) -> InFlight:
    running = InFlight()
    for user, host in attempts:
        running.begin(user, host, proven=proven)
    return running


def test_limits_per_host_user_and_pass() -> None:
    running = in_flight((ANN, "a"), *[(BOB, "b")] * 15, proven=True)
    slots = Slots(running, known("a", "b", "c"), NOW, free=9, unproven=0)

    assert slots.room(ANN, "a") == PER_HOST - 1
    assert slots.room(BOB, "c") == PER_USER - 15
    for _ in range(7):
        slots.take(ANN, "c")
    assert slots.room(ANN, "a") == 2
    assert running.users[ANN] == 1, "nothing has begun yet"


def test_an_unproven_host_gets_one_attempt_and_waits_for_its_turn() -> None:
    slots = Slots(InFlight(), known(), NOW, free=64, unproven=0)
    assert slots.room(ANN, "new") == 0
    assert slots.passed_over

    slots = Slots(InFlight(), known(), NOW, free=64, unproven=1)
    assert slots.room(ANN, "new") == 1
    slots.take(ANN, "new")
    assert slots.room(ANN, "new") == 0
    assert not slots.passed_over
    assert slots.room(ANN, "newer") == 0
    assert slots.passed_over


def test_beyond_the_free_attempts_each_user_gets_one_at_unproven_hosts() -> None:
    running = in_flight(*((ANN, f"h{n}") for n in range(UNPROVEN_FREELY)), proven=False)
    slots = Slots(running, known(), NOW, free=48, unproven=8)
    assert slots.room(ANN, "one more") == 0
    assert slots.room(BOB, "his") == 1
    slots.take(BOB, "his")
    assert slots.room(BOB, "his second") == 0

    full = in_flight(*((n, f"h{n}") for n in range(UNPROVEN_AT_ONCE)), proven=False)
    slots = Slots(full, known(), NOW, free=8, unproven=8)
    assert slots.room(99, "one more") == 0
    assert not slots.passed_over, "an attempt that ends makes room, and notifies"


def test_a_throttled_host_waits_for_its_probe() -> None:
    hosts = known()
    for _ in range(5):
        hosts.record_attempt(ANN, "dead", NOW, answered=False, connected=False)

    throttled = Slots(InFlight(), hosts, NOW + 59, free=64, unproven=8)
    assert throttled.room(BOB, "dead") == 0
    assert not throttled.passed_over

    probing = Slots(InFlight(), hosts, NOW + 60, free=64, unproven=8)
    assert probing.room(BOB, "dead") == 1
    probing.take(BOB, "dead")
    assert probing.room(ANN, "dead") == 0, "one attempt per minute for all users together"


def test_a_user_whose_url_hangs_leaves_the_host_to_its_other_users() -> None:
    hosts = known("shared")
    hosts.record_attempt(ANN, "shared", NOW, answered=False, connected=True)
    slots = Slots(InFlight(), hosts, NOW, free=64, unproven=8)

    assert slots.room(ANN, "shared") == 1
    slots.take(ANN, "shared")
    assert slots.room(ANN, "shared") == 0
    assert slots.room(BOB, "shared") == PER_HOST - 1
    for _ in range(PER_HOST - 1):
        slots.take(BOB, "shared")
    assert slots.room(BOB, "shared") == 0
