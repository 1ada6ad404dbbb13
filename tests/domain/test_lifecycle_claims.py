"""Claims: sequences of several cells of the state machine's table."""

from dataclasses import replace

import pytest

from receiver.domain.answers import StatusAnswer, StatusMissing, StatusReport, StatusUnavailable
from receiver.domain.observations import CallbackReceived, TimePassed
from receiver.domain.schedule import HOUR, MINUTE, SECOND, Rules
from store.records.callbacks import Verdict
from store.records.jobs import Evidence, Phase, Status
from store.records.times import Due, Lane, Millis
from tests.domain.jobs import (
    MISSING,
    RULES,
    UNAVAILABLE,
    at_work,
    completed,
    failed,
    in_state,
    status_call,
    verdicts,
)


def test_an_answer_decides_only_claims_received_before_the_call() -> None:
    story = in_state("confirming")
    asked_at = story.now + 1_000
    story.observe(CallbackReceived(2, failed()), 1_500)
    move = story.observe(status_call(asked_at, at_work(50)), 500)
    assert verdicts(move) == [(Verdict.DENIED, None)]
    assert [claim.callback_id for claim in story.job.tracking.claims] == [2]
    assert story.job.phase is Phase.CONFIRMING
    assert story.due().at == story.now
    move = story.poll(failed())
    assert verdicts(move) == [(Verdict.CONFIRMED, True)]
    assert story.job.evidence is Evidence.CALLBACK, "a status call confirmed it"


def test_a_claim_received_as_the_call_began_is_not_decided_by_it() -> None:
    story = in_state("confirming")
    received_at = story.now
    assert verdicts(story.observe(status_call(received_at, at_work(50)))) == []
    move = story.observe(status_call(received_at + 1, at_work(50)))
    assert verdicts(move) == [(Verdict.DENIED, None)]


def test_the_status_call_counts_and_not_the_claim() -> None:
    story = in_state("confirming")
    move = story.poll(failed("Really."))
    assert verdicts(move) == [(Verdict.DENIED, None)]
    assert (story.job.status, story.job.message) == (Status.FAILED, "Really.")
    assert story.job.evidence is Evidence.POLL


@pytest.mark.parametrize(("reported", "shown"), [(None, "Too dark."), ("Really.", "Really.")])
def test_a_confirmed_claim_gives_the_message_that_the_status_call_lacks(
    reported: str | None, shown: str
) -> None:
    story = in_state("rendering")
    story.called_back(failed("Too dark."))
    story.poll(failed(reported))
    assert story.job.error is not None
    assert (story.job.message, story.job.error.message) == (shown, shown)


@pytest.mark.parametrize(
    "answer",
    [
        UNAVAILABLE,
        MISSING,
        StatusReport(completed(link=None)),
        StatusUnavailable("401", credentials_refused=True),
    ],
    ids=["outage", "404", "linkless", "401"],
)
def test_confirm_timeout_counts_from_the_first_failed_call(answer: StatusAnswer) -> None:
    story = in_state("confirming")
    story.now += 10 * MINUTE  # our own downtime before the first call does not count
    move = story.poll(answer)
    first_failed_at = story.now
    while not story.job.done:
        assert story.due().lane is Lane.CONFIRM
        assert story.now < story.due().at <= first_failed_at + RULES.confirm_timeout
        story.wait_until(story.due().at)
        move = story.observe(status_call(story.now, answer), 10)
    assert story.now - first_failed_at >= RULES.confirm_timeout
    assert verdicts(move) == [(Verdict.APPLIED, False)]
    assert (story.job.status, story.job.evidence) == (Status.COMPLETED, Evidence.CALLBACK)


@pytest.mark.parametrize(
    "answer",
    [
        StatusReport(completed(link=None), 30 * SECOND),
        StatusMissing(30 * SECOND),
        StatusUnavailable("429", 30 * SECOND),
    ],
    ids=["linkless", "404", "429"],
)
def test_retry_after_delays_a_confirmation_within_confirm_timeout(answer: StatusAnswer) -> None:
    story = in_state("confirming")
    story.poll(answer)
    assert story.due() == Due(Lane.CONFIRM, story.now + 30 * SECOND)
    trusted_at = story.now + RULES.confirm_timeout
    story.poll(replace(answer, retry_after=HOUR))
    assert story.due() == Due(Lane.CONFIRM, trusted_at)


@pytest.mark.parametrize("state", ["confirming", "deadline_exceeded, claimed"])
@pytest.mark.parametrize(
    ("wish", "wait"), [(None, 0), (30 * SECOND, 30 * SECOND), (HOUR, RULES.confirm_timeout)]
)
def test_retry_after_delays_a_claim_that_came_during_the_call_within_confirm_timeout(
    state: str, wish: Millis | None, wait: Millis
) -> None:
    story = in_state(state)
    story.observe(status_call(story.now - 1, StatusReport(at_work(50), wish)))
    assert story.due() == Due(Lane.CONFIRM, story.now + wait)


def test_a_claim_without_id_is_trusted_after_confirm_timeout() -> None:
    story = in_state("confirming without id")
    received_at = story.now
    assert story.due() == Due(Lane.WAIT, received_at + RULES.confirm_timeout)
    story.wait_until(story.due().at)
    move = story.observe(TimePassed(), 0)
    assert verdicts(move) == [(Verdict.APPLIED, False)]
    assert story.job.status is Status.COMPLETED


def test_a_claim_without_a_link_that_is_trusted_waits_for_one_with_it() -> None:
    """Rule 4: COMPLETED without a link is not an outcome."""
    story = in_state("submitting")
    story.called_back(completed(link=None))
    story.wait_until(story.due().at)
    story.observe(TimePassed(), 0)
    assert (story.job.phase, story.due().at) == (Phase.CONFIRMING, story.deadline())
    story.called_back(completed())
    story.wait_until(story.due().at)
    story.observe(TimePassed(), 0)
    assert story.job.status is Status.COMPLETED


def test_of_two_claims_the_one_with_an_outcome_is_trusted() -> None:
    story = in_state("accepted")
    story.called_back(completed(link=None))
    story.called_back(completed())
    story.poll(UNAVAILABLE)
    story.now += RULES.confirm_timeout
    move = story.poll(UNAVAILABLE)
    assert verdicts(move) == [(Verdict.LATE, None), (Verdict.APPLIED, False)]
    assert story.job.status is Status.COMPLETED


def test_a_result_that_is_missing_is_asked_for_at_once_where_callbacks_are_not_confirmed() -> None:
    story = in_state("accepted", rules=Rules(confirm_callbacks=False))
    assert verdicts(story.called_back(completed(link=None))) == [(Verdict.APPLIED, None)]
    assert story.job.phase is Phase.CONFIRMING
    assert story.due() == Due(Lane.CONFIRM, story.now)


def test_claims_are_decided_after_the_clock_stepped_back() -> None:
    """Otherwise the job would be polled without a pause until the clock has caught up."""
    story = in_state("confirming")
    story.now -= HOUR
    story.observe(status_call(story.now, at_work(50)), 100)
    asked = 1
    while story.job.tracking.claims and asked < 5:
        story.wait_until(story.due().at)
        story.observe(status_call(story.now + 1, at_work(50)), 100)
        asked += 1
    assert asked <= 2
    assert story.job.phase is Phase.RENDERING


def test_the_poll_after_a_denied_claim_comes_after_poll_min_or_retry_after() -> None:
    for wish, gap in ((None, RULES.poll_min), (10 * MINUTE, 10 * MINUTE)):
        story = in_state("confirming")
        story.poll(StatusReport(at_work(50), wish))
        assert story.due().lane is Lane.POLL
        assert gap <= story.due().at - story.now <= gap * 1.1
