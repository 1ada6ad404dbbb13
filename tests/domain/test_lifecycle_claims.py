"""Unsigned outcomes, which are claims, and signed ones: sequences of cells of the table."""

from dataclasses import replace

import pytest

from receiver.domain.answers import StatusAnswer, StatusMissing, StatusReport, StatusUnavailable
from receiver.domain.observations import CallbackReceived, TimeoutReached
from receiver.domain.schedule import DAY, HOUR, MINUTE, SECOND, Rules
from store.records.callbacks import Verdict
from store.records.jobs import Evidence, Phase, Status
from store.records.times import Due, Lane, Millis
from tests.domain.jobs import (
    ID,
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
    transition = story.observe(status_call(asked_at, at_work(50)), 500)
    assert verdicts(transition) == [(Verdict.DENIED, None)]
    assert transition is not None
    assert transition.verdicts[0].evidence is Evidence.POLL
    assert [claim.callback_id for claim in story.job.tracking.claims] == [2]
    assert story.job.phase is Phase.CONFIRMING
    assert story.due().at == story.now
    transition = story.poll(failed())
    assert verdicts(transition) == [(Verdict.CONFIRMED, True)]
    assert story.job.evidence is Evidence.CALLBACK, "a status call confirmed it"


def test_a_claim_received_as_the_call_began_is_not_decided_by_it() -> None:
    story = in_state("confirming")
    received_at = story.now
    assert verdicts(story.observe(status_call(received_at, at_work(50)))) == []
    transition = story.observe(status_call(received_at + 1, at_work(50)))
    assert verdicts(transition) == [(Verdict.DENIED, None)]


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
    transition = story.poll(answer)
    first_failed_at = story.now
    while not story.job.done:
        assert story.due().lane is Lane.CONFIRM
        assert story.now < story.due().at <= first_failed_at + RULES.confirm_timeout
        story.wait_until(story.due().at)
        transition = story.observe(status_call(story.now, answer), 10)
    assert story.now - first_failed_at >= RULES.confirm_timeout
    assert verdicts(transition) == [(Verdict.APPLIED, False)]
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


def test_a_claim_without_a_link_that_is_trusted_waits_for_one_with_it() -> None:
    """Rule 4: COMPLETED without a link is not an outcome."""
    story = in_state("submitting")
    story.called_back(completed(link=None))
    assert story.due() == Due(Lane.WAIT, story.now + RULES.confirm_timeout)
    story.wait_until(story.due().at)
    story.observe(TimeoutReached(), 0)
    assert (story.job.phase, story.due().at) == (Phase.CONFIRMING, story.deadline())
    story.called_back(completed())
    story.wait_until(story.due().at)
    story.observe(TimeoutReached(), 0)
    assert story.job.status is Status.COMPLETED


def test_of_two_claims_the_one_with_an_outcome_is_trusted() -> None:
    story = in_state("accepted")
    story.called_back(completed(link=None))
    story.called_back(completed())
    story.poll(UNAVAILABLE)
    story.now += RULES.confirm_timeout
    transition = story.poll(UNAVAILABLE)
    assert verdicts(transition) == [(Verdict.LATE, None), (Verdict.APPLIED, False)]
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


def test_a_job_has_at_most_eight_claims() -> None:
    story = in_state("accepted")
    decided = [verdicts(story.called_back(failed())) for _ in range(9)]
    assert decided == [[(Verdict.CLAIMED, None)]] * 8 + [[(Verdict.LATE, None)]]


def test_a_claim_is_confirmed_again_after_short_gaps_and_has_its_own_timeout() -> None:
    story = in_state("rendering")
    for _ in range(9):
        story.wait_until(story.due().at)
        story.poll(UNAVAILABLE)
    story.called_back(completed())
    story.poll(UNAVAILABLE)
    assert story.due() == Due(Lane.CONFIRM, story.now + RULES.poll_min)
    story.called_back(completed(link=None), verified=True)  # the claim is late
    story.called_back(completed(), after=10 * MINUTE)
    story.poll(UNAVAILABLE)
    assert story.due() == Due(Lane.CONFIRM, story.now + RULES.poll_min)


# --- signed callbacks -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "evidence", "status_text"),
    [
        ("rendering", Evidence.CALLBACK, "OK"),
        ("deadline_exceeded, claimed", Evidence.POLL, Status.IN_PROGRESS),
    ],
)
def test_after_a_verified_completion_without_a_result_only_the_result_is_asked_for(
    state: str, evidence: Evidence, status_text: str
) -> None:
    story = in_state(state)
    story.called_back(replace(completed(link=None), provider_status="OK"), verified=True)
    assert story.due() == Due(Lane.CONFIRM, story.now)
    for _ in range(2):
        due = story.due()
        story.called_back(at_work(40))
        assert story.job.due == due, "progress does not delay it"
        assert story.job.tracking.link_missing
        story.poll(UNAVAILABLE)
    story.poll(replace(completed(), provider_status=None))
    assert (story.job.status, story.job.evidence) == (Status.COMPLETED, evidence)
    assert story.job.provider_status == status_text


@pytest.mark.parametrize("state", ["deadline_exceeded", "submit_outcome_unknown"])
@pytest.mark.parametrize("age", [DAY - MINUTE, 9 * DAY])
def test_the_result_of_a_late_verified_completion_is_asked_for_for_a_day(
    state: str, age: Millis
) -> None:
    story = in_state(state)
    completed_at = story.now + age
    while story.job.due is not None and story.job.due.at < completed_at:
        story.wait_until(story.due().at)
        story.poll(at_work(40))
    story.wait_until(completed_at)
    story.called_back(completed(link=None, provider_request_id=ID), verified=True)
    assert story.due() == Due(Lane.CONFIRM, story.now)

    last_call = story.now
    while story.job.due is not None:
        story.wait_until(story.due().at)
        last_call = story.now
        story.poll(UNAVAILABLE)
    assert completed_at + DAY - 2 * HOUR < last_call <= completed_at + DAY + MINUTE


@pytest.mark.parametrize("state", ["rendering", "submit_unconfirmed", "deadline_exceeded"])
@pytest.mark.parametrize("given_up", [False, True])
def test_an_unsigned_callback_does_not_overturn_a_verified_completion(
    state: str, given_up: bool
) -> None:
    story = in_state(state)
    story.called_back(completed(link=None), verified=True)
    if given_up:
        story.wait_until(story.deadline() + DAY)
        story.poll(UNAVAILABLE)
    assert verdicts(story.called_back(failed())) == [(Verdict.LATE, None)]
    assert verdicts(story.called_back(completed())) == [(Verdict.CLAIMED, None)]


def test_the_id_brings_the_result_of_a_verified_completion() -> None:
    story = in_state("submit_unconfirmed")
    story.called_back(completed(link=None), verified=True)
    story.called_back(at_work(40, provider_request_id=ID))
    assert story.due() == Due(Lane.POLL, story.now)


@pytest.mark.parametrize("answer", [StatusReport(at_work(40)), UNAVAILABLE, MISSING])
@pytest.mark.parametrize("claimed", [False, True])
def test_a_status_call_under_way_does_not_deny_a_verified_completion(
    answer: StatusAnswer, claimed: bool
) -> None:
    story = in_state("rendering")
    asked = status_call(story.now, answer)
    story.called_back(completed(link=None), verified=True)
    if claimed:
        story.called_back(completed())
    assert story.observe(asked) is None
    assert story.job.tracking.link_missing
    assert (story.job.phase, story.due().lane) == (Phase.CONFIRMING, Lane.CONFIRM)


def test_a_claim_that_comes_again_verified_is_decided_by_itself() -> None:
    story = in_state("rendering")
    story.called_back(completed())
    transition = story.observe(CallbackReceived(story.callbacks, completed(), verified=True))
    assert verdicts(transition) == [(Verdict.APPLIED, None)]
