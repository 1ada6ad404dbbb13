"""Backoff, poll cadence and deadlines."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.domain import schedule
from receiver.domain.answers import (
    StatusAnswer,
    StatusReport,
    SubmitAccepted,
    SubmitNotSent,
)
from receiver.domain.schedule import DAY, GRACE, HOUR, MINUTE, SECOND, Rules
from store.records.jobs import Job, Phase, Tracking
from store.records.times import Due, Lane, Millis
from tests.domain.jobs import (
    ID,
    MISSING,
    RULES,
    START,
    UNAVAILABLE,
    Story,
    at_work,
    in_state,
    new_job,
    status_call,
)

gaps = st.integers(1, 2 * HOUR)


def polls_of(story: Story, count: int) -> list[Millis]:
    """The gaps of this many polls with the same answer, each begun when it is due."""
    found = []
    for _ in range(count):
        story.wait_until(story.due().at)
        story.observe(status_call(story.now, at_work(10)), 0)
        found.append(story.due().at - story.now)
    return found


def with_polls(polls: int) -> Job:
    return replace(new_job(), tracking=Tracking(polls=polls))


def test_gaps_grow_by_half_from_poll_min_to_poll_max_and_start_again_at_a_change() -> None:
    story = in_state("accepted")
    story.wait_until(story.due().at)
    story.poll(at_work(10))
    assert RULES.poll_min <= story.due().at - story.now <= RULES.poll_min * 1.05
    found = polls_of(story, 15)
    for earlier, later in pairwise(found[:7]):
        assert earlier * 1.5 * 0.9 <= later <= earlier * 1.5 * 1.1
    assert all(RULES.poll_max * 0.9 <= gap <= RULES.poll_max for gap in found[-5:])
    story.wait_until(story.due().at)
    story.observe(status_call(story.now, at_work(20)), 0)
    assert RULES.poll_min <= story.due().at - story.now <= RULES.poll_min * 1.05


def test_a_callback_postpones_the_poll() -> None:
    story = in_state("rendering")
    planned = story.due().at
    story.called_back(at_work(40), after=planned - story.now - 1)
    assert story.due().at >= story.now + RULES.poll_min


@pytest.mark.parametrize("answer", [StatusReport(at_work(60)), MISSING, UNAVAILABLE])
def test_retry_after_delays_the_next_poll_but_not_past_the_deadline(answer: StatusAnswer) -> None:
    """Rule 7: once the deadline has passed the job is polled."""
    story = in_state("rendering")
    story.poll(replace(answer, retry_after=10 * MINUTE))
    assert story.due() == Due(Lane.POLL, story.now + 10 * MINUTE)
    story.poll(replace(answer, retry_after=1))
    assert RULES.poll_min <= story.due().at - story.now < 10 * MINUTE
    story.poll(replace(answer, retry_after=5 * HOUR))
    assert story.due().at == story.deadline()


def test_the_deadline_and_the_first_poll_count_from_acceptance() -> None:
    assert schedule.deadline(new_job(), RULES) == START + RULES.job_deadline
    story = in_state("submitting")
    story.observe(SubmitAccepted(ID), 20 * MINUTE)
    assert story.deadline() == story.now + RULES.job_deadline
    assert story.due() == Due(Lane.POLL, story.now + RULES.poll_first)


@given(gaps, st.integers(0, 500))
def test_jitter_is_a_tenth_and_never_below_poll_min(gap: Millis, polls: int) -> None:
    found = schedule.jittered(with_polls(polls), gap, RULES)
    assert max(RULES.poll_min, gap * 0.9) <= found <= max(RULES.poll_min, gap)


def test_jitter_differs_between_jobs_and_polls_and_is_reproducible() -> None:
    spread = {schedule.jittered(with_polls(n), MINUTE, RULES) for n in range(200)}
    assert len(spread) > 150
    assert max(spread) - min(spread) > MINUTE * 0.08
    jobs = {schedule.jittered(replace(new_job(), id=f"job_{n}"), MINUTE, RULES) for n in range(200)}
    assert len(jobs) > 150
    assert schedule.jittered(new_job(), MINUTE, RULES) == schedule.jittered(
        new_job(), MINUTE, RULES
    )


@given(st.integers(1, 10_000), st.integers(0, 200_000))
def test_every_cadence_reaches_poll_max(poll_min: Millis, more: Millis) -> None:
    """A gap of a millisecond grows too: no setting polls forever without a pause."""
    rules = Rules(poll_min=poll_min, poll_max=poll_min + more)
    gap = schedule.next_gap(None, rules, rules.poll_max)
    assert gap == rules.poll_min
    for _ in range(40):
        gap = schedule.next_gap(gap, rules, rules.poll_max)
        assert rules.poll_min <= gap <= rules.poll_max
    assert gap == rules.poll_max


def test_rule_2_each_failed_attempt_waits_longer() -> None:
    story = Story()
    for n in range(8):
        story.wait_until(story.due().at)
        story.begin()
        story.observe(SubmitNotSent("connection refused"))
        assert story.job.phase is Phase.QUEUED
        assert story.due().at - story.now == min(2**n, 30) * SECOND
    assert schedule.backoff(5_000, SECOND, 30 * SECOND) == 30 * SECOND


@pytest.mark.parametrize(("wish", "gap"), [(SECOND, SECOND), (DAY, RULES.poll_max)])
@pytest.mark.parametrize("after", [0, GRACE])
def test_a_poll_at_the_deadline_or_the_end_of_the_grace_is_followed_by_a_later_one(
    after: Millis, wish: Millis, gap: Millis
) -> None:
    story = in_state("rendering")
    moment = story.deadline() + after
    due = schedule.next_status_call(story.job, moment + wish, moment, RULES)
    assert due == Due(Lane.POLL, moment + (gap if after else wish))
