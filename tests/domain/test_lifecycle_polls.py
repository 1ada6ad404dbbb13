"""Races and long waits of polls: lost jobs, missing links, deadlines, late corrections."""

from dataclasses import replace
from itertools import pairwise

import pytest

from receiver.domain.answers import (
    StatusAnswer,
    StatusMissing,
    StatusReport,
    StatusUnavailable,
)
from receiver.domain.failures import is_provisional
from receiver.domain.schedule import DAY, GRACE, HOUR, MINUTE, SECOND
from store.records.jobs import ErrorCode, Status
from store.records.times import Due, Lane
from tests.domain.jobs import (
    MISSING,
    UNAVAILABLE,
    at_work,
    completed,
    error_of,
    in_state,
    status_call,
)


def test_rule_4_five_misses_count_only_over_ten_minutes_and_an_answer_resets_them() -> None:
    story = in_state("accepted")
    story.poll(MISSING)
    first_at = story.now
    for _ in range(6):
        story.poll(MISSING)
    assert not story.job.done, "seven misses, and too soon"
    story.wait_until(first_at + 10 * MINUTE - 2 * SECOND)
    story.poll(MISSING)
    assert not story.job.done
    story.poll(at_work(10))
    for _ in range(4):
        story.now += 10 * MINUTE
        story.poll(MISSING)
    assert not story.job.done, "four misses over half an hour"
    story.poll(MISSING)
    assert error_of(story) is ErrorCode.PROVIDER_JOB_LOST


def test_an_answer_that_is_reported_again_counts_once() -> None:
    """Its commit's own answer may be lost, so the worker reports it until it learns of a commit."""
    story = in_state("accepted")
    missing = story.named(status_call(story.now + SECOND, MISSING))
    story.observe(missing)
    for _ in range(20):
        assert story.observe(missing, MINUTE) is None
    assert (story.job.tracking.polls, story.job.tracking.misses) == (1, 1)


def test_an_answer_is_outdated_by_that_to_a_later_call_unless_it_is_the_outcome() -> None:
    story = in_state("accepted")
    missing = story.named(status_call(story.now, MISSING))
    done = story.named(status_call(story.now, completed()))
    story.poll(at_work(30))
    assert story.observe(missing) is None
    story.observe(done)
    assert story.job.status is Status.COMPLETED


def test_rule_7_the_answer_to_a_call_before_the_deadline_does_not_end_the_job() -> None:
    story = in_state("rendering")
    asked_at = story.deadline() - 1
    story.wait_until(asked_at)
    story.observe(status_call(asked_at, at_work(60)), 10 * SECOND)
    assert not story.job.done
    story.poll(at_work(60))
    assert error_of(story) is ErrorCode.DEADLINE_EXCEEDED


def test_rule_7_frequent_callbacks_do_not_delay_an_overdue_poll() -> None:
    story = in_state("rendering")
    story.wait_until(story.deadline() - SECOND)
    story.poll(UNAVAILABLE)
    owed = story.due().at
    for percent in range(31, 60):
        story.called_back(at_work(percent))
    assert story.due().at <= max(owed, story.now)


def test_rule_7_a_failure_that_we_declared_is_polled_for_a_day_at_gaps_up_to_an_hour() -> None:
    story = in_state("deadline_exceeded")
    done_at, gaps = story.now, []
    while story.job.due is not None:
        assert story.job.due.lane is Lane.POLL
        gaps.append(story.job.due.at - story.now)
        story.wait_until(story.job.due.at)
        story.observe(status_call(story.now, at_work(60)), 100)
    assert HOUR * 0.9 <= max(gaps) <= HOUR
    assert all(later > earlier * 0.9 for earlier, later in pairwise(gaps[:-1]))
    assert GRACE - 2 * HOUR < story.now - done_at <= GRACE + SECOND


@pytest.mark.parametrize("state", ["link missing", "deadline_exceeded"])
@pytest.mark.parametrize("answer", [StatusReport(at_work(40)), StatusReport(completed(link=None))])
def test_retry_after_delays_the_poll_after_a_provisional_failure(
    state: str, answer: StatusAnswer
) -> None:
    story = in_state(state)
    story.wait_until(story.deadline())
    story.poll(replace(answer, retry_after=3 * HOUR))
    assert is_provisional(story.job)
    assert story.due() == Due(Lane.POLL, story.now + 3 * HOUR)


def test_retry_after_delays_the_poll_of_a_lost_job() -> None:
    story = in_state("rendering")
    for _ in range(5):
        story.wait_until(story.due().at)
        story.poll(StatusMissing(3 * MINUTE), took=3 * MINUTE)
    assert is_provisional(story.job)
    assert story.due() == Due(Lane.POLL, story.now + 3 * MINUTE)


def test_retry_after_never_skips_the_last_poll_after_a_provisional_failure() -> None:
    story = in_state("rendering")
    story.wait_until(story.deadline())
    for _ in range(2):
        story.poll(StatusReport(at_work(40), DAY))
        assert story.due() == Due(Lane.POLL, (story.job.done_at or 0) + GRACE)
    story.wait_until(story.due().at)
    story.poll(StatusReport(at_work(40), DAY))
    assert story.job.due is None


@pytest.mark.parametrize("answer", [StatusReport(at_work(40)), StatusUnavailable("timeout")])
def test_a_job_that_becomes_due_during_a_call_is_polled_again(answer: StatusAnswer) -> None:
    story = in_state("rendering")
    asked_at = story.now
    for came, again in [(asked_at, False), (asked_at + 1, True), (asked_at + MINUTE, False)]:
        story.now = asked_at + SECOND
        story.job = replace(in_state("rendering").job, due=Due(Lane.POLL, came))
        story.observe(status_call(asked_at, answer))
        assert (story.job.due == Due(Lane.POLL, came)) == again, came


def test_a_poll_that_is_due_is_not_delayed_by_a_callback() -> None:
    """One that could not be used may have made it due."""
    story = in_state("rendering")
    owed = Due(Lane.POLL, story.now + SECOND)
    story.job = replace(story.job, due=owed)
    story.called_back(at_work(60))
    assert story.job.due == owed
