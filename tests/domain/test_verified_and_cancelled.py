"""Signed callbacks, and cancels that are passed on."""

from dataclasses import replace

import pytest

from receiver.domain.answers import (
    Report,
    StatusAnswer,
    StatusReport,
    SubmitAccepted,
    SubmitRefused,
)
from receiver.domain.observations import (
    CallbackReceived,
    CancelAnswer,
    CancelRequested,
    SubmissionEnded,
)
from receiver.domain.schedule import DAY, HOUR, MINUTE, SECOND
from store.records.callbacks import Verdict
from store.records.jobs import ErrorCode, Evidence, Phase, Status
from store.records.moves import Move
from store.records.times import Due, Lane, Millis
from tests.domain.jobs import (
    ID,
    MISSING,
    UNAVAILABLE,
    Story,
    at_work,
    completed,
    error_of,
    failed,
    in_state,
    report,
    status_call,
    verdicts,
)

PASSED_ON = CancelRequested(frozenset({"samsar"}))
URLS = {"status": "https://queue.example/1"}


def verified(story: Story, reported: Report, callback_id: int = 7) -> Move | None:
    return story.observe(CallbackReceived(callback_id, reported, verified=True))


@pytest.mark.parametrize(
    "state",
    [
        *("submitting", "submit_unconfirmed", "accepted", "rendering", "confirming"),
        *("link missing", "deadline_exceeded", "submit_outcome_unknown"),
    ],
)
@pytest.mark.parametrize("reported", [completed(), failed(), report(Status.CANCELLED)])
def test_a_verified_outcome_counts_at_once(state: str, reported: Report) -> None:
    story = in_state(state)
    move = verified(story, reported)
    assert move is not None
    assert (story.job.status, story.job.evidence) == (reported.status, Evidence.CALLBACK)
    assert story.job.due is None
    (mine,) = [each for each in move.verdicts if each.callback_id == 7]
    assert (mine.verdict, mine.confirmed) == (Verdict.APPLIED, None)
    others = {each.verdict for each in move.verdicts if each.callback_id != 7}
    assert others <= {Verdict.LATE}


@pytest.mark.parametrize(
    ("state", "others"),
    [
        ("rendering", []),
        ("confirming", [(Verdict.LATE, None)]),
        ("deadline_exceeded", []),
        ("deadline_exceeded, claimed", [(Verdict.LATE, None)]),
    ],
)
def test_after_a_verified_completion_without_a_result_only_the_result_is_asked_for(
    state: str, others: list[tuple[Verdict, None]]
) -> None:
    story = in_state(state)
    before = story.job.tracking
    assert not before.result_pending
    decided = verdicts(verified(story, replace(completed(link=None), provider_status="OK")))
    assert sorted(decided) == sorted([(Verdict.APPLIED, None), *others])
    assert story.due() == Due(Lane.CONFIRM, story.now)
    for _ in range(2):
        assert story.job.tracking.result_pending
        story.poll(UNAVAILABLE)
    story.poll(replace(completed(), provider_status=None))
    assert (story.job.status, story.job.evidence) == (Status.COMPLETED, Evidence.CALLBACK)
    assert story.job.provider_status == "OK"


@pytest.mark.parametrize("state", ["deadline_exceeded", "submit_outcome_unknown"])
@pytest.mark.parametrize("age", [DAY - HOUR, DAY - MINUTE, DAY + MINUTE, 9 * DAY])
def test_the_result_of_a_late_verified_completion_is_asked_for_for_a_day(
    state: str, age: Millis
) -> None:
    story = in_state(state)
    assert story.job.done_at is not None
    completed_at = story.job.done_at + age
    while story.job.due is not None and story.job.due.at < completed_at:
        story.wait_until(story.due().at)
        story.poll(at_work(40))
    story.wait_until(completed_at)
    verified(story, completed(link=None, provider_request_id=ID))
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
    verified(story, completed(link=None))
    if given_up:
        story.wait_until(story.deadline() + DAY)
        story.poll(UNAVAILABLE)
    for reported in (failed(), report(Status.CANCELLED)):
        assert verdicts(story.called_back(reported)) == [(Verdict.LATE, None)]
    assert verdicts(story.called_back(completed())) == [(Verdict.CLAIMED, None)]


@pytest.mark.parametrize("state", ["rendering", "deadline_exceeded"])
def test_progress_after_a_verified_completion_does_not_delay_its_result(state: str) -> None:
    story = in_state(state)
    verified(story, completed(link=None))
    for _ in range(2):
        provider_status, due = story.job.provider_status, story.due()
        story.called_back(at_work(40))
        assert (story.job.provider_status, story.job.due) == (provider_status, due)
        story.poll(UNAVAILABLE)


def test_the_id_brings_the_result_of_a_verified_completion() -> None:
    story = in_state("submit_unconfirmed")
    verified(story, completed(link=None))
    story.called_back(at_work(40, provider_request_id=ID))
    assert story.due() == Due(Lane.POLL, story.now)


@pytest.mark.parametrize("answer", [StatusReport(at_work(40)), UNAVAILABLE, MISSING])
@pytest.mark.parametrize("claimed", [False, True])
def test_a_status_call_under_way_does_not_deny_a_verified_completion(
    answer: StatusAnswer, claimed: bool
) -> None:
    story = in_state("rendering")
    asked = status_call(story.now, answer)
    story.now += SECOND
    verified(story, completed(link=None))
    if claimed:
        story.called_back(completed())
    move = story.observe(asked)
    assert move is not None, "it ends the lease that the new call needs"
    assert story.job.tracking.result_pending
    assert (story.job.phase, story.due().lane) == (Phase.CONFIRMING, Lane.CONFIRM)


def test_a_verified_completion_whose_result_is_gone_needs_no_call() -> None:
    story = in_state("rendering")
    gone = replace(completed(link=None), provider_status="succeeded", result_is_gone=True)
    assert verdicts(verified(story, gone)) == [(Verdict.APPLIED, None)]
    assert (error_of(story), story.job.evidence) == (ErrorCode.RESULT_MISSING, Evidence.CALLBACK)
    assert (story.job.provider_status, story.job.due) == ("succeeded", None)


def test_a_claim_that_comes_again_verified_is_decided_by_itself() -> None:
    story = in_state("rendering")
    story.called_back(completed())
    (claim,) = story.job.tracking.claims
    move = verified(story, completed(), claim.callback_id)
    assert move is not None
    (verdict,) = move.verdicts
    assert (verdict.callback_id, verdict.verdict) == (claim.callback_id, Verdict.APPLIED)


def test_a_removed_result_fails_the_job_at_once() -> None:
    story = in_state("rendering")
    story.poll(replace(completed(link=None), provider_status="succeeded", result_is_gone=True))
    assert (error_of(story), story.job.evidence) == (ErrorCode.RESULT_MISSING, Evidence.POLL)
    assert story.job.provider_status == "succeeded"
    assert story.job.due is None
    verified(story, completed())
    assert story.job.status is Status.COMPLETED, "its late callback still brings the result"


# --- cancelling -----------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["accepted", "rendering", "confirming"])
def test_a_cancel_is_passed_on_once(state: str) -> None:
    story = in_state(state)
    story.observe(PASSED_ON)
    assert (story.job.status, story.job.cancel_wanted) == (Status.CANCELLED, True)
    assert story.due() == Due(Lane.POLL, story.now)
    move = story.observe(CancelAnswer("refused", 400, "Too late."))
    assert move is not None
    (note,) = move.notes
    assert (note.type, note.detail) == (
        "provider_cancel",
        {"outcome": "refused", "status_code": 400, "message": "Too late."},
    )
    assert (move.event, story.job.due, story.job.cancel_wanted) == (None, None, False)
    assert story.observe(CancelAnswer("accepted", 200)) is None


def test_no_cancel_for_an_unsent_job_or_a_provider_without_cancel() -> None:
    for state, request in (("queued", PASSED_ON), ("accepted", CancelRequested())):
        story = in_state(state)
        story.observe(request)
        assert (story.job.status, story.job.cancel_wanted) == (Status.CANCELLED, False)
        assert story.job.due is None


def test_a_cancel_waits_for_the_answer_of_the_submission() -> None:
    story = in_state("submitting")
    begun = story.begun()
    story.observe(PASSED_ON)
    assert (story.job.cancel_wanted, story.job.due) == (True, None)
    move = story.observe(SubmissionEnded(begun, SubmitAccepted(ID, URLS)))
    assert move is not None
    assert move.event is None
    assert (story.job.provider_request_id, story.job.provider_urls) == (ID, URLS)
    assert story.due() == Due(Lane.POLL, story.now)


def test_a_cancel_waits_for_a_callback_if_no_answer_comes() -> None:
    story = in_state("submit_unconfirmed")
    story.observe(PASSED_ON)
    assert (story.job.cancel_wanted, story.job.due) == (True, None)
    assert verdicts(story.called_back(at_work(10, provider_request_id=ID))) == [
        (Verdict.LATE, None)
    ]
    assert (story.job.status, story.job.provider_request_id) == (Status.CANCELLED, ID)
    assert story.due().lane is Lane.POLL


def test_a_refused_submission_needs_no_cancel() -> None:
    story = in_state("submitting")
    story.observe(PASSED_ON)
    story.observe(SubmitRefused(422, "No."))
    assert (story.job.status, story.job.due) == (Status.CANCELLED, None)


def test_the_addresses_of_an_answer_are_kept() -> None:
    story = in_state("submitting")
    story.observe(SubmitAccepted(ID, URLS))
    assert (story.job.phase, story.job.provider_urls) == (Phase.ACCEPTED, URLS)
