"""Holds after a rate-limit refusal: who waits, how long, and who is the probe."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.domain import holds as rules
from receiver.domain.holds import NO_HOLDS
from receiver.domain.schedule import SECOND
from store.records.holds import ProviderHolds, Refusal
from store.records.times import Millis

ANN, BOB, CAT = 1, 2, 3


@dataclass
class Story:
    """The events at one provider, second by second."""

    holds: ProviderHolds = NO_HOLDS
    now: Millis = 1_000_000

    def later(
        self, user: int, job: str, retry_after: Millis | None = None, code: int = 429
    ) -> None:
        refusal = Refusal(job, user, f"user{user}", code)
        self.holds = rules.refused(self.holds, refusal, retry_after, self.now)

    def taken(self, user: int, job: str) -> None:
        self.holds = rules.answered(self.holds, user, job, self.now)

    def probe(self, user: int, job: str) -> bool:
        self.holds = rules.send_probe(self.holds, user, job, self.now)
        return rules.is_probe(self.holds, user, job)

    def probe_and_take(self, user: int, job: str) -> None:
        """When the user's hold has ended, its job is the probe and is accepted."""
        self.wait(user)
        self.probe(user, job)
        self.taken(user, job)

    def waits(self, user: int) -> Millis:
        """How long the user is still held."""
        return max(0, rules.held_until(self.holds, user, self.now) - self.now)

    def wait(self, user: int) -> None:
        """Wait until the user's hold ends."""
        self.now += self.waits(user)


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [(None, 5), (0, 0), (1_000, 1), (60_000, 60), (61_000, 60), (86_400_000, 60)],
)
def test_a_refusal_holds_everybody_for_a_minute_at_most(
    retry_after: Millis | None, seconds: int
) -> None:
    story = Story()
    story.later(ANN, "a1", retry_after)
    assert story.waits(ANN) == story.waits(BOB) == seconds * SECOND


def test_refusals_of_earlier_submissions_do_not_extend_a_hold() -> None:
    story = Story()
    story.later(ANN, "a1", 10 * SECOND)
    story.now += 9 * SECOND
    story.later(ANN, "a2", 60 * SECOND)
    story.later(BOB, "b1", 60 * SECOND)
    assert story.waits(CAT) == SECOND


def test_one_probe_goes_when_a_hold_ends() -> None:
    story = Story()
    story.later(ANN, "a1")
    assert not story.probe(BOB, "b1")
    story.wait(BOB)
    assert story.waits(BOB) == 0
    assert story.probe(BOB, "b1")
    assert not story.probe(CAT, "c1")
    # A probe that gets no answer is followed by another.
    story.now += rules.PROBE_TIME
    assert story.probe(CAT, "c1")
    story.taken(BOB, "b1")
    assert not rules.holds_on(story.holds, CAT)


def test_each_probe_that_is_refused_doubles_the_hold() -> None:
    story = Story()
    story.later(ANN, "j0")
    lengths = [story.waits(ANN)]
    for number in range(1, 9):
        story.wait(ANN)
        assert story.probe(ANN, f"j{number}")
        story.later(ANN, f"j{number}", None)
        lengths.append(story.waits(BOB))
    assert lengths == [seconds * SECOND for seconds in (5, 10, 20, 40, 80, 160, 300, 300, 300)]


def test_a_hold_from_before_the_clock_was_set_back_has_ended() -> None:
    story = Story()
    story.later(ANN, "a1", 60 * SECOND)
    story.now -= rules.LATEST_END
    assert story.waits(BOB) == 0
    assert not [*rules.current(story.holds, story.now)]
    assert story.probe(BOB, "b1")
    assert not story.probe(CAT, "c1")


def test_a_hold_that_ended_long_ago_is_not_doubled() -> None:
    story = Story()
    story.later(ANN, "a1", 60 * SECOND)
    story.wait(ANN)
    story.now += rules.LONGEST_HOLD + 1
    story.probe(BOB, "b1")
    assert not story.probe(CAT, "c1")
    story.later(BOB, "b1", SECOND)
    assert story.waits(CAT) == SECOND


def test_a_longer_retry_after_of_a_refused_probe_counts() -> None:
    story = Story()
    story.later(ANN, "a1", SECOND)
    story.wait(BOB)
    story.probe(BOB, "b1")
    story.later(BOB, "b1", 90 * SECOND)
    assert story.waits(CAT) == 60 * SECOND


def test_a_user_refused_while_another_is_accepted_is_refused_alone() -> None:
    story = Story()
    story.later(ANN, "a1")
    story.probe_and_take(BOB, "b1")
    assert story.waits(ANN) == story.waits(BOB) == 0

    story.later(ANN, "a2", 30 * SECOND, 503)

    assert (story.waits(ANN), story.waits(BOB)) == (30 * SECOND, 0)
    assert not rules.holds_on(story.holds, BOB)
    ((is_of_all, hold),) = rules.current(story.holds, story.now)
    assert (is_of_all, hold.refusals[-1].user, hold.refusals[-1].status_code) == (
        False,
        "user1",
        503,
    )

    # Another user's refusal holds everybody again, although ann's refusals are known.
    story.later(BOB, "b2")
    assert story.waits(CAT) == 5 * SECOND
    story.probe_and_take(CAT, "c1")
    story.later(BOB, "b3")
    assert story.waits(CAT) == 0


def test_a_job_refused_alone_holds_no_other_job_of_its_user() -> None:
    story = Story()
    story.later(ANN, "bad")
    story.probe_and_take(ANN, "good")
    for _ in range(3):
        story.later(ANN, "bad", 60 * SECOND)
        assert story.waits(ANN) == story.waits(BOB) == 0
    # The same holds for a user who is refused alone.
    story.later(BOB, "worse")
    story.probe_and_take(ANN, "fine")
    story.later(BOB, "worse")
    story.probe_and_take(BOB, "other")
    story.later(BOB, "worse")
    assert story.waits(BOB) == 0


def test_the_probe_is_a_user_who_was_not_refused() -> None:
    story = Story()
    story.later(ANN, "a1")
    assert rules.best_probe_user(story.holds, [ANN, BOB, CAT]) == BOB
    assert rules.best_probe_user(story.holds, [ANN]) == ANN
    assert rules.refused_jobs(story.holds, ANN) == {"a1"}


def test_after_the_refused_probe_of_a_lone_user_others_may_try_at_once() -> None:
    story = Story()
    story.later(ANN, "a1")
    story.probe_and_take(BOB, "b1")
    story.later(BOB, "b2")
    story.wait(ANN)
    assert story.probe(ANN, "a2")
    story.later(ANN, "a2")
    assert story.waits(ANN) == 5 * SECOND
    assert story.probe(CAT, "c1")


def test_refusals_are_forgotten() -> None:
    story = Story()
    story.later(ANN, "a1")
    story.probe_and_take(BOB, "b1")
    story.now += rules.REMEMBERED
    story.later(CAT, "c1")
    story.probe_and_take(BOB, "b2")
    assert set(story.holds.users) == {CAT}

    for user in range(10, 10 + 2 * rules.MAX_REMEMBERED):
        story.later(user, f"j{user}")
        story.probe_and_take(BOB, f"b{user}")
    assert len(story.holds.users) == rules.MAX_REMEMBERED


@given(
    hostile=st.lists(st.booleans(), min_size=2, max_size=5).filter(lambda each: not all(each)),
    wishes=st.lists(st.one_of(st.none(), st.integers(0, 90_000)), min_size=1, max_size=9),
    gaps=st.lists(st.integers(1, 20_000), min_size=20, max_size=120),
)
def test_no_user_waits_for_more_than_one_hold_of_another(
    hostile: list[bool], wishes: list[Millis | None], gaps: list[Millis]
) -> None:
    """Some users are always told "later", the others are always accepted, and everybody always has
    a job waiting. All who may submit do; if a probe is due, only the best user. Each hostile user
    can hold the others once. The first hold is at most a minute, and each further hostile user
    whose first job is the probe doubles it."""
    story = Story()
    users = range(len(hostile))
    holders: list[int] = []
    for number, gap in enumerate(gaps):
        story.now += gap
        free = [user for user in users if not story.waits(user)]
        probing = [user for user in free if story.holds.everybody is not None]
        going = [rules.best_probe_user(story.holds, probing)] if probing else free
        for user in going:
            job = f"{user}.{number}"
            if story.waits(user):
                continue
            story.probe(user, job)
            if hostile[user]:
                before = story.holds.everybody
                story.later(user, job, wishes[number % len(wishes)])
                after = story.holds.everybody
                if after is not None and after != before and after.length:
                    longest = rules.LONGEST_FIRST_HOLD * 2 ** len(holders)
                    assert after.length <= min(longest, rules.LONGEST_HOLD)
                    holders.append(user)
            else:
                story.taken(user, job)
    assert len(holders) == len(set(holders))
