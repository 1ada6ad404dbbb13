"""Races and long waits: several cells of the table in a row."""

from dataclasses import replace
from itertools import pairwise

import pytest

from receiver.domain.answers import (
    Report,
    StatusAnswer,
    StatusMissing,
    StatusReport,
    StatusUnavailable,
    SubmitAccepted,
    SubmitNotSent,
    SubmitRefused,
)
from receiver.domain.observations import CancelRequested, Polled, SubmissionHeld, TimePassed
from receiver.domain.schedule import DAY, GRACE, HOUR, MINUTE, SECOND, Rules
from receiver.domain.serialization import is_self_declared
from store.records.callbacks import Verdict
from store.records.jobs import ErrorCode, Evidence, Phase, Status
from store.records.moves import Move
from store.records.times import Due, Lane, Millis
from tests.domain.jobs import (
    ID,
    OTHER_ID,
    RULES,
    STATES,
    Story,
    asking,
    at_work,
    called,
    completed,
    failed,
    in_state,
    report,
)

MISSING = StatusMissing("Request not found.")
UNAVAILABLE = StatusUnavailable("timeout")


def verdicts(move: Move | None) -> list[tuple[Verdict, bool | None]]:
    assert move is not None
    return [(ruling.verdict, ruling.confirmed) for ruling in move.verdicts]


def error_of(story: Story) -> ErrorCode | None:
    return story.job.error.code if story.job.error else None


# --- submission -----------------------------------------------------------------------------------


def test_rule_2_retry_after_delays_the_next_attempt_but_not_past_the_deadline() -> None:
    story = in_state("submitting")
    story.observe(SubmitNotSent("503", retry_after=10 * MINUTE))
    assert story.due().at == story.now + 10 * MINUTE
    story.wait_until(story.due().at)
    story.begin()
    story.observe(SubmitNotSent("503", retry_after=DAY))
    assert story.due().at == story.deadline()


def test_rule_2_a_hold_never_makes_an_attempt_earlier() -> None:
    story = in_state("submitting")
    story.observe(SubmitNotSent("503", retry_after=10 * MINUTE))
    planned = story.due()
    story.observe(SubmissionHeld(story.now + MINUTE), 0)
    assert story.due() == planned
    story.observe(SubmissionHeld(story.now + 20 * MINUTE), 0)
    assert story.due().at == story.now + 20 * MINUTE


def test_rule_2_the_unconfirmed_deadline_is_independent_of_the_job_deadline() -> None:
    by = Rules(job_deadline=MINUTE, unconfirmed_deadline=2 * HOUR)
    story = in_state("submit_unconfirmed", rules=by)
    assert story.due().at == story.now + 2 * HOUR
    story.wait_until(story.due().at - 1)
    assert story.observe(TimePassed(), 0) is None
    story.observe(TimePassed(), 1)
    assert error_of(story) is ErrorCode.SUBMIT_OUTCOME_UNKNOWN


@pytest.mark.parametrize("state", ["submitting", "submit_unconfirmed"])
def test_rule_2_the_jobs_own_callback_heals_and_brings_the_id(state: str) -> None:
    story = in_state(state)
    story.called_back(at_work(10, names=ID))
    assert (story.job.provider_request_id, story.job.accepted_at) == (ID, story.now)
    story.observe(SubmitNotSent("503", 0))
    assert story.job.phase is Phase.RENDERING, "the provider has it, whatever was said"
    story.observe(SubmitRefused(400, "No."))
    assert story.job.phase is Phase.RENDERING


@pytest.mark.parametrize("late", [False, True], ids=["in time", "after the deadline"])
def test_rule_2_a_job_whose_callback_waits_is_not_submitted_again(late: bool) -> None:
    """A 503 was taken for "not sent", and a callback proves that the job runs."""
    story = in_state("queued again")
    story.job = replace(story.job, callbacks_waiting=True)
    story.wait_until(story.deadline() if late else story.due().at)
    story.begin()
    story.observe(TimePassed(), 5 * SECOND)
    assert (story.job.phase, story.job.attempts) == (Phase.QUEUED, 1)
    assert story.due().lane is Lane.SUBMIT
    assert story.due().at > story.now
    story.job = replace(story.job, callbacks_waiting=False)
    story.called_back(at_work(10, names=ID))
    assert story.job.phase is Phase.RENDERING


@pytest.mark.parametrize(
    ("state", "billed"),
    [
        ("queued", False),
        ("queued again", False),
        ("submitting", True),
        ("submit_unconfirmed", True),
        ("accepted", True),
        ("accepted without id", True),
        ("rendering", True),
        ("confirming", True),
        ("confirming without id", True),
        ("link missing", True),
    ],
)
def test_a_cancel_says_whether_it_may_have_been_billed(state: str, billed: bool) -> None:
    """`may_have_been_billed` unless surely nothing reached the provider."""
    story = in_state(state)
    story.observe(CancelRequested())
    assert story.job.error is not None
    assert story.job.error.code is ErrorCode.CANCELED_BY_USER
    assert story.job.error.may_have_been_billed is billed
    assert (story.job.evidence, story.job.due) == (Evidence.USER, None)
    assert story.observe(CancelRequested()) is None


@pytest.mark.parametrize(
    ("state", "billed"),
    [
        ("provider_refused", False),
        ("not_submitted", False),
        ("FAILED by provider", True),
        ("CANCELLED by provider", True),
        ("deadline_exceeded", True),
        ("submit_outcome_unknown", True),
        ("result_missing", True),
        ("provider_job_lost", True),
    ],
)
def test_a_failure_says_whether_it_may_have_been_billed(state: str, billed: bool) -> None:
    error = in_state(state).job.error
    assert error is not None
    assert error.may_have_been_billed is billed


# --- ids ------------------------------------------------------------------------------------------


def test_rule_8_the_answer_outranks_an_id_that_a_callback_brought() -> None:
    story = in_state("submitting")
    story.called_back(at_work(10, names=OTHER_ID))
    assert story.job.provider_request_id == OTHER_ID
    story.observe(SubmitAccepted(ID))
    assert story.job.provider_request_id == ID
    move = story.called_back(completed(names=OTHER_ID))
    assert verdicts(move) == [(Verdict.CONFLICT, None)]
    assert story.due().at == story.now, "and the job is polled at once"
    story.observe(SubmitAccepted("samsar-3"))
    assert story.job.provider_request_id == ID


def test_rule_8_a_finished_job_keeps_its_id() -> None:
    story = in_state("submitting")
    story.called_back(failed(names=OTHER_ID))
    story.poll(failed())
    story.observe(SubmitAccepted(ID))
    assert story.job.provider_request_id == OTHER_ID


def test_rule_8_an_answer_after_a_cancel_records_the_id_and_nothing_else() -> None:
    story = in_state("CANCELLED in flight")
    before = story.job
    move = story.observe(SubmitAccepted(ID))
    assert move is not None
    assert (move.event, move.relay) == (None, None)
    assert story.job == replace(before, provider_request_id=ID, id_from_answer=True)


def test_rule_8_an_answer_to_an_unknown_outcome_brings_the_id_and_then_polls_correct_it() -> None:
    story = in_state("submit_outcome_unknown")
    story.observe(SubmitAccepted(ID))
    assert error_of(story) is ErrorCode.SUBMIT_OUTCOME_UNKNOWN
    assert story.due().lane is Lane.POLL
    story.poll(completed())
    assert (story.job.status, story.job.error) == (Status.COMPLETED, None)


# --- claims ---------------------------------------------------------------------------------------


def test_an_answer_decides_only_claims_received_before_the_call() -> None:
    story = in_state("confirming")
    asked_at = story.now + 1_000
    second_at = asked_at + 500
    story.observe(called(2, second_at, failed()), 1_500)
    move = story.observe(asking(asked_at, StatusReport(at_work(50))), 500)
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
    assert verdicts(story.observe(asking(received_at, StatusReport(at_work(50))))) == []
    move = story.observe(asking(received_at + 1, StatusReport(at_work(50))))
    assert verdicts(move) == [(Verdict.DENIED, None)]


def test_a_cancel_leaves_no_claim_undecided() -> None:
    for state in ("confirming", "confirming without id"):
        story = in_state(state)
        assert verdicts(story.observe(CancelRequested())) == [(Verdict.LATE, None)]
        assert story.job.tracking.claims == ()


def test_a_denied_claim_makes_the_next_poll_due_after_poll_min() -> None:
    story = in_state("confirming")
    story.poll(at_work(50))
    assert story.due().lane is Lane.POLL
    assert RULES.poll_min <= story.due().at - story.now <= RULES.poll_min * 1.1


def test_the_status_call_counts_and_not_the_claim() -> None:
    story = in_state("confirming")
    move = story.poll(failed("Really."))
    assert verdicts(move) == [(Verdict.DENIED, None)]
    assert (story.job.status, story.job.message) == (Status.FAILED, "Really.")
    assert story.job.evidence is Evidence.POLL


@pytest.mark.parametrize(
    "answer",
    [
        UNAVAILABLE,
        MISSING,
        StatusReport(completed(link=None)),
        StatusUnavailable("401", by_credentials=True),
    ],
    ids=["outage", "404", "linkless", "401"],
)
def test_confirm_timeout_counts_from_the_first_failed_call(answer: StatusAnswer) -> None:
    story = in_state("confirming")
    story.now += 10 * MINUTE  # our own downtime before any call counts for nothing
    move = story.poll(answer)
    first_failed_at = story.now
    while not story.job.done:
        assert story.due().lane is Lane.CONFIRM
        assert story.now < story.due().at <= first_failed_at + RULES.confirm_timeout
        story.wait_until(story.due().at)
        move = story.observe(asking(story.now, answer), 10)
    assert story.now - first_failed_at >= RULES.confirm_timeout
    assert verdicts(move) == [(Verdict.APPLIED, False)]
    assert (story.job.status, story.job.evidence) == (Status.COMPLETED, Evidence.CALLBACK)


@pytest.mark.parametrize(
    "answer",
    [
        StatusReport(completed(link=None), 30 * SECOND),
        StatusMissing("Request not found.", 30 * SECOND),
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
    story.observe(asking(story.now - 1, StatusReport(at_work(50), wish)))
    assert story.due() == Due(Lane.CONFIRM, story.now + wait)


def test_retry_after_delays_the_poll_after_a_denied_claim() -> None:
    story = in_state("confirming")
    assert verdicts(story.poll(StatusReport(at_work(50), 10 * MINUTE))) == [(Verdict.DENIED, None)]
    assert story.due() == Due(Lane.POLL, story.now + 10 * MINUTE)


def test_the_deadline_does_not_fire_while_confirming() -> None:
    story = in_state("confirming")
    story.wait_until(story.deadline() + HOUR)
    story.poll(UNAVAILABLE)
    assert story.job.phase is Phase.CONFIRMING
    story.poll(at_work(60))
    assert error_of(story) is ErrorCode.DEADLINE_EXCEEDED, "denied, and asked for after it"


def test_a_claim_without_id_is_trusted_after_confirm_timeout() -> None:
    story = in_state("confirming without id")
    received_at = story.now
    assert (story.due().lane, story.due().at) == (Lane.WAIT, received_at + RULES.confirm_timeout)
    story.wait_until(story.due().at)
    move = story.observe(TimePassed(), 0)
    assert verdicts(move) == [(Verdict.APPLIED, False)]
    assert story.job.status is Status.COMPLETED


@pytest.mark.parametrize(
    "brings_id", [at_work(50, names=ID), failed(names=ID)], ids=["progress", "second claim"]
)
def test_a_claim_without_id_is_confirmed_once_a_callback_brings_the_id(brings_id: Report) -> None:
    story = in_state("confirming without id")
    story.called_back(brings_id)
    assert (story.due().lane, story.due().at) == (Lane.CONFIRM, story.now)


def test_a_claim_without_a_link_that_is_trusted_waits_for_one_with_it() -> None:
    """Rule 4: COMPLETED without a link is no outcome."""
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


def test_a_claim_on_a_self_declared_failure_is_confirmed_in_the_background() -> None:
    story = in_state("deadline_exceeded, claimed")
    assert (story.due().lane, story.due().at) == (Lane.CONFIRM, story.now)
    move = story.poll(at_work(50))
    assert verdicts(move) == [(Verdict.DENIED, None)]
    assert move is not None
    assert move.event is None
    assert error_of(story) is ErrorCode.DEADLINE_EXCEEDED
    story.called_back(completed())
    assert verdicts(story.poll(completed())) == [(Verdict.CONFIRMED, True)]
    assert story.job.status is Status.COMPLETED


def test_a_claim_counts_at_once_where_callbacks_are_not_confirmed() -> None:
    story = in_state("accepted", rules=Rules(confirm_callbacks=False))
    assert verdicts(story.called_back(completed())) == [(Verdict.APPLIED, None)]
    assert (story.job.status, story.job.evidence) == (Status.COMPLETED, Evidence.CALLBACK)


def test_claims_are_decided_after_the_clock_stepped_back() -> None:
    """Else the job would be asked for without a pause until the clock has caught up."""
    story = in_state("confirming")
    story.now -= HOUR
    story.observe(asking(story.now, StatusReport(at_work(50))), 100)
    asked = 1
    while story.job.tracking.claims and asked < 5:
        story.wait_until(story.due().at)
        story.observe(asking(story.now + 1, StatusReport(at_work(50))), 100)
        asked += 1
    assert asked <= 2
    assert story.job.phase is Phase.RENDERING


# --- lost, linkless, late -------------------------------------------------------------------------


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


def test_rule_4_a_refused_key_fails_no_job() -> None:
    story = in_state("accepted")
    for _ in range(20):
        story.poll(StatusUnavailable("401", by_credentials=True))
    assert story.job.phase is Phase.ACCEPTED


def test_rule_4_the_link_comes_at_a_later_call() -> None:
    story = in_state("link missing")
    assert RULES.poll_min <= story.due().at - story.now <= RULES.poll_min * 1.1
    story.poll(completed(link=None))
    assert story.job.seq == story.moves[-2].job.seq, "the same again is no event"
    story.poll(completed())
    assert story.job.status is Status.COMPLETED


def test_rule_4_no_link_by_the_deadline_is_result_missing_which_a_late_link_corrects() -> None:
    story = in_state("link missing")
    story.wait_until(story.deadline() - 2 * SECOND)
    story.poll(completed(link=None))
    assert not story.job.done
    assert story.due().at == story.deadline()
    story.wait_until(story.due().at)
    story.observe(asking(story.now, StatusReport(completed(link=None))), 100)
    assert error_of(story) is ErrorCode.RESULT_MISSING
    story.poll(completed())
    assert story.job.status is Status.COMPLETED


def test_rule_7_the_answer_to_a_call_before_the_deadline_does_not_end_the_job() -> None:
    story = in_state("rendering")
    asked_at = story.deadline() - 1
    story.wait_until(asked_at)
    story.observe(asking(asked_at, StatusReport(at_work(60))), 10 * SECOND)
    assert not story.job.done
    story.poll(at_work(60))
    assert error_of(story) is ErrorCode.DEADLINE_EXCEEDED


def test_rule_7_callbacks_on_disk_go_before_the_deadline() -> None:
    for state in ("rendering", "accepted without id", "submit_unconfirmed"):
        story = in_state(state)
        story.job = replace(story.job, callbacks_waiting=True)
        story.wait_until(max(story.deadline(), story.due().at))
        if state == "rendering":
            story.poll(at_work(60))
        else:
            story.observe(TimePassed(), 0)
        assert not story.job.done
        assert story.now < story.due().at <= story.now + RULES.poll_max


def test_rule_7_in_an_outage_a_job_outlives_its_deadline_by_a_day_at_most() -> None:
    story = in_state("rendering")
    end = story.deadline() + GRACE
    story.wait_until(end - 10 * SECOND)
    story.poll(StatusUnavailable("503", retry_after=DAY))
    assert not story.job.done
    assert story.due().at == end, "whatever Retry-After says"
    story.wait_until(end)
    story.observe(asking(story.now, UNAVAILABLE), 100)
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
        story.observe(asking(story.now, StatusReport(at_work(60))), 100)
    assert max(gaps) <= HOUR * 1.05
    assert max(gaps) > HOUR * 0.95
    assert all(later > earlier * 0.9 for earlier, later in pairwise(gaps))
    assert GRACE - 2 * HOUR < story.now - done_at <= GRACE + SECOND


@pytest.mark.parametrize(
    ("state", "answer"),
    [
        ("rendering", StatusReport(at_work(40), 3 * HOUR)),
        ("link missing", StatusReport(completed(link=None), 3 * HOUR)),
        ("deadline_exceeded", StatusReport(at_work(40), 3 * HOUR)),
        ("deadline_exceeded", StatusReport(completed(link=None), 3 * HOUR)),
        ("deadline_exceeded", StatusMissing("Request not found.", 3 * HOUR)),
        ("deadline_exceeded", StatusUnavailable("503", 3 * HOUR)),
    ],
    ids=["fires", "fires linkless", "unfinished", "linkless", "404", "503"],
)
def test_retry_after_delays_the_poll_after_a_self_declared_failure(
    state: str, answer: StatusAnswer
) -> None:
    story = in_state(state)
    story.wait_until(story.deadline())
    story.poll(answer)
    assert is_self_declared(story.job)
    assert story.due() == Due(Lane.POLL, story.now + 3 * HOUR)


def test_retry_after_delays_the_poll_of_a_lost_job() -> None:
    story = in_state("rendering")
    for _ in range(5):
        story.wait_until(story.due().at)
        story.poll(StatusMissing("Request not found.", 3 * MINUTE), took=3 * MINUTE)
    assert is_self_declared(story.job)
    assert story.due() == Due(Lane.POLL, story.now + 3 * MINUTE)


def test_retry_after_never_skips_the_last_poll_after_a_self_declared_failure() -> None:
    story = in_state("rendering")
    story.wait_until(story.deadline())
    for _ in range(2):
        story.poll(StatusReport(at_work(40), DAY))
        assert story.due() == Due(Lane.POLL, (story.job.done_at or 0) + GRACE)
    story.wait_until(story.due().at)
    story.poll(StatusReport(at_work(40), DAY))
    assert story.job.due is None


@pytest.mark.parametrize(
    "state",
    ["deadline_exceeded", "submit_outcome_unknown", "result_missing", "provider_job_lost"],
)
@pytest.mark.parametrize(
    "outcome",
    [completed(names=ID), failed(names=ID), report(Status.CANCELLED, names=ID)],
    ids=["COMPLETED", "FAILED", "CANCELLED"],
)
def test_rule_3_each_self_declared_failure_is_corrected_once(state: str, outcome: Report) -> None:
    story = in_state(state)
    story.called_back(outcome)
    move = story.poll(outcome)
    assert move is not None
    assert move.event is not None
    assert move.relay is not None
    assert (move.relay.final, move.relay.self_declared) == (True, False)
    assert story.job.status is outcome.status
    corrected = story.job
    for other in (completed(names=ID), failed("Other.", names=ID)):
        assert verdicts(story.called_back(other)) == [(Verdict.LATE, None)]
        assert story.poll(other) is None
    assert story.job == corrected


def test_events_are_numbered_without_gaps() -> None:
    for state in STATES:
        told = [move.job.seq for move in in_state(state).moves if move.event]
        assert told == list(range(2, 2 + len(told)))


def test_rule_8_an_answer_about_a_replaced_id_is_ignored() -> None:
    story = Story()
    story.begin()
    story.called_back(at_work(10, names="from-callback"))
    asked_at = story.now
    story.observe(SubmitAccepted("from-answer"))
    answer = StatusReport(completed(link="https://elsewhere.example/another.mp4"))
    story.observe(Polled(asked_at, "from-callback", answer))
    assert not story.job.done
    assert story.job.due == Due(Lane.POLL, story.now)


@pytest.mark.parametrize("answer", [StatusReport(at_work(40)), StatusUnavailable("timeout")])
def test_a_job_that_becomes_due_during_a_call_is_polled_again(
    answer: StatusAnswer,
) -> None:
    story = in_state("rendering")
    asked_at = story.now
    for came, again in [(asked_at, False), (asked_at + 1, True), (asked_at + MINUTE, False)]:
        story.now = asked_at + SECOND
        story.job = replace(in_state("rendering").job, due=Due(Lane.POLL, came))
        story.observe(asking(asked_at, answer))
        assert (story.job.due == Due(Lane.POLL, came)) == again, came


def test_rule_4_a_job_is_not_lost_while_its_callback_waits_to_be_applied() -> None:
    story = in_state("rendering")
    story.job = replace(story.job, callbacks_waiting=True)
    for _ in range(6):
        story.poll(StatusMissing("Request not found."), took=5 * MINUTE)
    assert not story.job.done
    story.job = replace(story.job, callbacks_waiting=False)
    story.poll(StatusMissing("Request not found."))
    assert story.job.error is not None
    assert story.job.error.code is ErrorCode.PROVIDER_JOB_LOST


def test_an_overdue_poll_is_not_delayed_by_an_earlier_callback() -> None:
    """A conflict makes the poll due at once; what is applied after it was in the inbox already."""
    story = in_state("rendering")
    owed = Due(Lane.POLL, story.now + SECOND)
    story.job = replace(story.job, due=owed)
    earlier = called(90, story.now, at_work(60))
    story.observe(earlier, 2 * SECOND)
    assert story.job.due == owed
    story.called_back(at_work(70))
    assert story.due().at > owed.at
