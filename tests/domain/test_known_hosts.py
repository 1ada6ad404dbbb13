"""`KnownHosts`: hosts that answer, throttled hosts, and the bounds of the memory."""

import pytest

from receiver.domain import relay
from receiver.domain.relay import FORGET_AFTER, PROBE_EVERY, KnownHosts

HOST = "hooks.example:443"
ANN, BOB = 1, 2


def fail(known: KnownHosts, user: int, host: str, now: float, times: int = 1) -> None:
    for _ in range(times):
        known.record_attempt(user, host, now, answered=False, connected=False)


def test_after_five_connect_failures_a_host_gets_one_attempt_a_minute() -> None:
    known = KnownHosts()
    fail(known, ANN, HOST, 100.0, times=4)
    assert known.may_try(HOST, 100.0)

    fail(known, ANN, HOST, 100.0)

    assert known.throttled == {HOST}
    assert not known.may_try(HOST, 100.0 + PROBE_EVERY - 1)
    assert known.may_try(HOST, 100.0 + PROBE_EVERY)
    known.record_attempt(BOB, HOST, 170.0, answered=False, connected=True)
    assert not known.throttled
    assert known.may_try(HOST, 170.0)
    assert not known.answers(BOB, HOST)


def test_a_host_answers_a_user_unless_their_last_attempt_got_no_answer() -> None:
    known = KnownHosts()
    assert not known.answers(ANN, HOST)
    known.record_attempt(ANN, HOST, 1.0, answered=True, connected=True)
    assert known.answers(ANN, HOST)
    assert known.answers(BOB, HOST), "he has not tried"

    known.record_attempt(ANN, HOST, 2.0, answered=False, connected=True)
    assert not known.answers(ANN, HOST)
    assert known.answers(BOB, HOST), "his URL may lead to another program"

    fail(known, ANN, HOST, 3.0)
    assert not known.answers(BOB, HOST), "the host cannot be reached"

    known.record_attempt(BOB, HOST, 4.0, answered=True, connected=True)
    assert known.answers(BOB, HOST)
    assert not known.answers(ANN, HOST)


def test_many_hosts_of_one_user_displace_only_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "HOSTS_PER_USER", 3)
    known = KnownHosts()
    fail(known, BOB, "dead", 0.0, times=5)
    known.record_attempt(BOB, "alive", 0.0, answered=True, connected=True)

    for number in range(1_000):
        fail(known, ANN, f"h{number}", 1.0, times=5)

    assert len(known.throttled) == 1 + 3
    assert not known.may_try("dead", 1.0)
    assert known.answers(BOB, "alive")
    assert known.may_try("h996", 1.0)
    assert not known.may_try("h997", 1.0)


def test_a_host_not_tried_for_an_hour_is_forgotten() -> None:
    known = KnownHosts()
    fail(known, ANN, HOST, 0.0, times=5)
    fail(known, ANN, "other", 60.0, times=5)

    known.forget_stale(FORGET_AFTER - 1)
    assert known.throttled == {HOST, "other"}
    known.forget_stale(FORGET_AFTER)
    assert known.throttled == {"other"}
    fail(known, ANN, "other", FORGET_AFTER)
    known.forget_stale(FORGET_AFTER + 60.0)
    assert known.throttled == {"other"}, "tried since"
