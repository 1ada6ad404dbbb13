"""Races of a submission: attempts, cancels, and the provider's id."""

from dataclasses import replace
from typing import Any

import pytest

from receiver.domain.answers import (
    StatusReport,
    SubmitAccepted,
    SubmitAmbiguous,
    SubmitAnswer,
    SubmitNotSent,
    SubmitRefused,
)
from receiver.domain.observations import (
    CancelAnswer,
    CancelRequested,
    StatusCallEnded,
    SubmissionBegins,
    SubmissionEnded,
    TimeoutReached,
)
from receiver.domain.schedule import DAY, HOUR, MINUTE, Rules
from receiver.domain.submission import is_under_way
from store.records.callbacks import Verdict
from store.records.jobs import ErrorCode, Evidence, Phase, Status
from store.records.times import Due, Lane
from tests.domain.jobs import (
    ID,
    NEXT,
    OTHER_ID,
    PASSED_ON,
    STATES,
    Story,
    at_work,
    completed,
    error_of,
    failed,
    in_state,
    verdicts,
)


def test_rule_2_retry_after_delays_the_next_attempt_but_not_past_the_deadline() -> None:
    story = in_state("submitting")
    story.observe(SubmitNotSent("503", retry_after=10 * MINUTE))
    assert story.due().at == story.now + 10 * MINUTE
    story.wait_until(story.due().at)
    story.begin()
    story.observe(SubmitNotSent("503", retry_after=DAY))
    assert story.due().at == story.deadline()


def test_rule_2_the_unconfirmed_deadline_is_independent_of_the_job_deadline() -> None:
    rules = Rules(job_deadline=MINUTE, unconfirmed_deadline=2 * HOUR)
    story = in_state("submit_unconfirmed", rules=rules)
    assert story.due().at == story.now + 2 * HOUR
    story.wait_until(story.due().at - 1)
    assert story.observe(TimeoutReached(), 0) is None
    story.observe(TimeoutReached(), 1)
    assert error_of(story) is ErrorCode.SUBMIT_OUTCOME_UNKNOWN


NOT_BILLED = {"queued", "queued again", "provider_refused", "not_submitted", "CANCELLED unsent"}


@pytest.mark.parametrize("state", STATES)
def test_an_error_says_whether_it_may_have_been_billed(state: str) -> None:
    """It may have been, unless it is certain that nothing reached the provider."""
    story = in_state(state)
    if not story.job.done:
        story.observe(CancelRequested())
        assert error_of(story) is ErrorCode.CANCELED_BY_USER
        assert (story.job.evidence, story.job.due) == (Evidence.USER, None)
    assert story.observe(CancelRequested()) is None
    error = story.job.error
    assert (error is None) == (state == "COMPLETED")
    assert error is None or error.may_have_been_billed is (state not in NOT_BILLED)


# --- ids ------------------------------------------------------------------------------------------


def test_rule_8_the_answer_outranks_an_id_that_a_callback_brought() -> None:
    story = in_state("submitting")
    story.called_back(at_work(10, provider_request_id=OTHER_ID))
    assert story.job.provider_request_id == OTHER_ID
    story.observe(SubmitAccepted(ID))
    assert story.job.provider_request_id == ID
    story.observe(SubmitAccepted("samsar-3"))
    assert story.job.provider_request_id == ID


def test_rule_8_a_finished_job_keeps_its_id() -> None:
    story = in_state("submitting")
    story.called_back(failed(provider_request_id=OTHER_ID))
    story.poll(failed())
    story.observe(SubmitAccepted(ID))
    assert story.job.provider_request_id == OTHER_ID


def test_rule_8_an_answer_about_a_replaced_id_is_ignored() -> None:
    story = Story()
    story.begin()
    story.called_back(at_work(10, provider_request_id="from-callback"))
    asked_at = story.now
    story.observe(SubmitAccepted("from-answer"))
    answer = StatusReport(completed(link="https://elsewhere.example/another.mp4"))
    story.observe(StatusCallEnded(NEXT, asked_at, "from-callback", answer))
    assert not story.job.done
    assert story.job.due == Due(Lane.POLL, story.now)


# --- answers to another attempt than the latest ---------------------------------------------------

EARLIER_ANSWERS: list[SubmitAnswer] = [
    SubmitNotSent("connection refused", retry_after=MINUTE),
    SubmitRefused(400, "No."),
    SubmitRefused(401, "Unauthorized"),
    SubmitAmbiguous("reset"),
]


@pytest.mark.parametrize("answer", EARLIER_ANSWERS, ids=str)
@pytest.mark.parametrize("state", STATES)
def test_the_answer_of_an_earlier_attempt_is_only_noted(state: str, answer: SubmitAnswer) -> None:
    story = in_state(state)
    story.job = replace(story.job, attempts=story.job.attempts + 1)
    begun, before = replace(story.begun(), attempt=story.job.attempts - 1), story.job
    transition = story.observe(SubmissionEnded(begun, answer))
    assert transition is not None
    assert (story.job, transition.event, transition.relay) == (before, None, None)
    assert [note.detail["attempt"] for note in transition.notes] == [begun.attempt]


def test_not_sent_from_one_worker_does_not_requeue_the_attempt_of_another() -> None:
    """Both have leased the queued job, one after the other, and both begin it as attempt 1."""
    story = Story()
    slow, quick = SubmissionBegins(1, story.now + MINUTE), SubmissionBegins(1, story.now + HOUR)
    story.observe(quick)
    assert story.observe(slow) is None
    assert not is_under_way(story.job, slow)
    story.observe(SubmissionEnded(slow, SubmitNotSent("the service stopped")))
    assert is_under_way(story.job, quick)


def test_a_stale_attempt_does_not_begin_before_the_job_is_due() -> None:
    """Another worker has tried meanwhile, and the provider has asked for a pause."""
    story = Story()
    stale = SubmissionBegins(1, story.now + HOUR)
    story.begin()
    story.observe(SubmitNotSent("429", retry_after=MINUTE))
    assert story.observe(stale) is None
    assert story.job.phase is Phase.QUEUED


def test_acceptance_of_an_earlier_attempt_counts_and_nothing_more_is_sent() -> None:
    story = in_state("submitting again")
    earlier = replace(story.begun(), attempt=1)
    story.observe(SubmissionEnded(earlier, SubmitAccepted(ID)))
    assert (story.job.phase, story.job.provider_request_id) == (Phase.ACCEPTED, ID)
    transition = story.observe(SubmitAccepted(OTHER_ID))
    assert transition is not None
    assert story.job.provider_request_id == ID
    assert [note.detail["provider_request_id"] for note in transition.notes] == [OTHER_ID]


# --- cancels that are passed on -------------------------------------------------------------------


def test_a_cancel_is_passed_on_once() -> None:
    story = in_state("CANCELLED, to pass on")
    assert story.due() == Due(Lane.POLL, story.now)
    transition = story.observe(CancelAnswer("refused", 400, "Too late."))
    assert transition is not None
    (note,) = transition.notes
    assert (note.type, note.detail) == (
        "provider_cancel",
        {"outcome": "refused", "status_code": 400, "message": "Too late."},
    )
    assert (transition.event, story.job.cancel_wanted) == (None, False)
    assert story.observe(CancelAnswer("accepted", 200)) is None


def test_a_cancel_waits_for_the_answer_of_the_submission() -> None:
    story = in_state("submitting")
    begun = story.begun()
    story.observe(PASSED_ON)
    assert story.job.cancel_wanted
    transition = story.observe(
        SubmissionEnded(begun, SubmitAccepted(ID, {"status": "https://q/1"}))
    )
    assert transition is not None
    assert transition.event is None
    assert story.job.provider_urls == {"status": "https://q/1"}
    assert story.due() == Due(Lane.POLL, story.now)


def test_a_cancel_waits_for_a_callback_if_no_answer_comes() -> None:
    story = in_state("submit_unconfirmed")
    story.observe(PASSED_ON)
    assert verdicts(story.called_back(at_work(10, provider_request_id=ID))) == [
        (Verdict.LATE, None)
    ]
    assert (story.job.status, story.job.provider_request_id) == (Status.CANCELLED, ID)
    assert story.due() == Due(Lane.POLL, story.now)


@pytest.mark.parametrize(("code", "releases"), [(400, False), (401, True), (403, True)])
def test_only_a_refused_key_of_ours_releases_the_idempotency_key(code: int, releases: bool) -> None:
    transition = in_state("submitting").observe(SubmitRefused(code, "No."))
    assert transition is not None
    assert transition.releases_idempotency_key is releases


@pytest.mark.parametrize(
    ("state", "observation", "drops"),
    [
        ("submitting", SubmitRefused(400, "No."), True),
        ("queued", CancelRequested(), True),
        ("submitting", CancelRequested(), False),
        ("submit_unconfirmed", CancelRequested(), False),
        ("rendering", CancelRequested(), False),
    ],
)
def test_a_job_that_was_never_accepted_drops_a_large_input(
    state: str, observation: Any, drops: bool
) -> None:
    transition = in_state(state).observe(observation)
    assert transition is not None
    assert transition.job.done
    assert transition.drops_large_input is drops
