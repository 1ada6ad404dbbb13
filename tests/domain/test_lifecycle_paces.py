"""Providers that are asked seldom, for a short while, or not at all; and words nobody knows."""

from dataclasses import replace

from receiver.domain.answers import Report
from receiver.domain.observations import TimeoutReached
from receiver.domain.schedule import MINUTE, SECOND, Pace, Rules
from store.records.callbacks import Verdict
from store.records.jobs import ErrorCode, Phase, Status
from store.records.times import Due, Lane
from tests.domain.jobs import (
    at_work,
    completed,
    error_of,
    failed,
    in_state,
    verdicts,
)


def paced(pace: Pace) -> Rules:
    return Rules(paces={"samsar": pace})


def test_a_finished_job_is_asked_for_twice_while_the_provider_knows_it() -> None:
    rules = paced(Pace(retention=90 * SECOND))
    assert (rules.of("samsar").poll_max, rules.of("fal").poll_max) == (45 * SECOND, 120 * SECOND)
    assert rules.of("samsar").late_poll_max == 45 * SECOND
    story = in_state("accepted", rules=rules)
    for _ in range(20):
        story.poll(at_work())
        assert story.due().at <= story.now + 45 * SECOND
    assert story.due().at > story.now + 40 * SECOND


def test_no_gap_is_shorter_than_the_provider_wants() -> None:
    story = in_state("accepted", rules=paced(Pace(every=30 * SECOND, retention=10 * SECOND)))
    for number in range(5):
        story.poll(at_work(number))
        assert story.due().at >= story.now + 30 * SECOND


def test_a_job_that_cannot_be_asked_for_ends_at_its_deadline() -> None:
    story = in_state("accepted", rules=paced(Pace(can_ask=False)))
    assert story.due() == Due(Lane.WAIT, story.deadline())
    story.called_back(at_work(10))
    assert story.due() == Due(Lane.WAIT, story.deadline())
    story.wait_until(story.deadline())
    story.observe(TimeoutReached())
    assert error_of(story) is ErrorCode.DEADLINE_EXCEEDED
    assert story.job.due is None


def test_the_only_word_counts_as_it_is() -> None:
    rules = paced(Pace(can_ask=False))
    for reported, status in ((completed(), Status.COMPLETED), (failed("No."), Status.FAILED)):
        for verified in (False, True):
            story = in_state("accepted", rules=rules)
            said = replace(reported, is_only_word=True)
            transition = story.called_back(said, verified=verified)
            assert story.job.status is status
            assert verdicts(transition) == [(Verdict.APPLIED, None if verified else False)]


def test_an_only_word_without_a_result_waits_for_the_deadline() -> None:
    story = in_state("accepted", rules=paced(Pace(can_ask=False)))
    story.called_back(replace(completed(link=None), is_only_word=True))
    assert not story.job.done
    assert story.due() == Due(Lane.WAIT, story.deadline())


def test_an_unknown_word_is_shown_and_decides_nothing() -> None:
    unknown = Report(provider_status="dreaming")
    story = in_state("accepted")
    before = story.job.status
    story.poll(unknown)
    assert (story.job.status, story.job.provider_status) == (before, "dreaming")
    assert story.due().lane is Lane.POLL
    story.called_back(completed())
    assert story.job.phase is Phase.CONFIRMING
    story.poll(unknown)
    assert len(story.job.tracking.claims) == 1, "it denies no claim"
    story.wait_until(story.now + 2 * MINUTE)
    story.poll(unknown)
    assert story.job.status is Status.COMPLETED, "after CONFIRM_TIMEOUT the claim is taken"
