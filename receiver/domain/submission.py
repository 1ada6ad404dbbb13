"""Applies the steps of a submission: its start, deadline, answer, and loss."""

from typing import Any, assert_never

from receiver.domain import failures, outcomes, schedule
from receiver.domain.answers import (
    SubmitAccepted,
    SubmitAmbiguous,
    SubmitNotSent,
    SubmitRefused,
)
from receiver.domain.draft import Draft
from receiver.domain.observations import SubmissionBegins, SubmissionEnded
from store.records.jobs import ErrorCode, Evidence, Job, JobError, Phase, Status
from store.records.times import Due, Lane

SUBMIT_BACKOFF_MIN = 1 * schedule.SECOND
SUBMIT_BACKOFF_MAX = 30 * schedule.SECOND


def begin(draft: Draft, begins: SubmissionBegins) -> None:
    job = draft.job
    if job.phase is not Phase.QUEUED or begins.attempt != job.attempts + 1:
        return
    expire(draft)
    if not draft.job.done:
        due = Due(Lane.SUBMITTING, begins.lease_until)
        draft.set(phase=Phase.SUBMITTING, attempts=begins.attempt, due=due)
        draft.track(waited=begins.waited)


def _note(draft: Draft, outcome: str, attempt: int | None, **detail: Any) -> None:
    """Note an attempt's answer in the history, the first with what the job had waited for. None is
    the latest attempt."""
    job = draft.job
    which: dict[str, Any] = {} if attempt is None else {"attempt": attempt}
    if job.tracking.waited is not None and attempt in (None, job.attempts):
        which["waited"] = job.tracking.waited._asdict()
        draft.track(waited=None)
    draft.note("submission", outcome=outcome, **which, **detail)


def is_under_way(job: Job, begun: SubmissionBegins) -> bool:
    """Whether exactly this attempt is the one under way."""
    lease = Due(Lane.SUBMITTING, begun.lease_until)
    return job.phase is Phase.SUBMITTING and job.attempts == begun.attempt and job.due == lease


def expire(draft: Draft) -> None:
    """Fail a queued job if its deadline has passed."""
    if draft.now >= schedule.deadline(draft.job, draft.rules):
        message = "The job could not be submitted in time."
        error = JobError(ErrorCode.NOT_SUBMITTED, message, draft.job.maybe_sent)
        outcomes.finish(draft, Status.FAILED, Evidence.DEADLINE, error, message=message)


def apply_answer(draft: Draft, ended: SubmissionEnded) -> None:
    """Apply the answer to an attempt. If the attempt is not the current one, the answer only goes
    into the history, unless it is an acceptance: then the provider has the job."""
    begun, answer = ended.begun, ended.answer
    match answer:
        case SubmitAccepted():
            accept(draft, answer, begun.attempt)
        case SubmitRefused():
            refuse(draft, begun, answer)
        case SubmitNotSent():
            requeue(draft, begun, answer)
        case SubmitAmbiguous():
            mark_unconfirmed(draft, answer.reason, begun.attempt)
        case _:
            assert_never(answer)


def requeue(draft: Draft, begun: SubmissionBegins, not_sent: SubmitNotSent) -> None:
    """Queue the job again, if exactly this attempt is under way. An unconfirmed job is never sent
    again, even if a late answer says that it was not sent."""
    job = draft.job
    _note(draft, "not_sent", begun.attempt, reason=not_sent.reason)
    if not is_under_way(job, begun):
        return
    gap = schedule.backoff(job.attempts, SUBMIT_BACKOFF_MIN, SUBMIT_BACKOFF_MAX)
    pause = max(gap, not_sent.retry_after or 0)
    draft.set(phase=Phase.QUEUED)
    end = schedule.deadline(draft.job, draft.rules)
    draft.set(due=Due(Lane.WAIT, min(draft.now + pause, end)))
    expire(draft)


def wait_for_turn(draft: Draft) -> None:
    """Let a queued job whose pause is over wait for its submission: in its old place in the queue,
    unless its deadline has passed."""
    expire(draft)
    if not draft.job.done:
        draft.set(due=Due(Lane.SUBMIT, draft.job.created_at))


def mark_outcome_unknown(draft: Draft, reason: str) -> None:
    """Make a job unconfirmed because its submission was lost. In a restored copy this includes
    queued jobs: they may have been sent after the copy was made."""
    if draft.job.phase is Phase.QUEUED:
        draft.set(phase=Phase.SUBMITTING)
    mark_unconfirmed(draft, reason)


def mark_unconfirmed(draft: Draft, reason: str, attempt: int | None = None) -> None:
    """Note in the history that the answer is unknown. If this is the attempt under way, the job may
    be running: only the provider can tell, and it is never sent again.

    `attempt` defaults to the latest one.
    """
    job = draft.job
    current = attempt in (None, job.attempts) and job.phase is Phase.SUBMITTING
    if current or job.attempts:
        _note(draft, "unknown", attempt, reason=reason)
    if not current:
        # The job has left `submitting`: it is unconfirmed, queued again, accepted or finished. Or
        # another attempt is under way.
        return
    draft.set(
        phase=Phase.SUBMIT_UNCONFIRMED,
        unconfirmed_at=draft.now,
        maybe_sent=True,
        evidence=Evidence.SUBMIT,
        due=Due(Lane.WAIT, draft.now + draft.rules.unconfirmed_deadline),
    )


def give_up_unconfirmed(draft: Draft) -> None:
    """Fail an unconfirmed job at its deadline."""
    assert draft.job.unconfirmed_at is not None
    end = draft.job.unconfirmed_at + draft.rules.unconfirmed_deadline
    if draft.now < end:
        draft.set(due=Due(Lane.WAIT, end))
    else:
        outcomes.give_up(draft, ErrorCode.SUBMIT_OUTCOME_UNKNOWN)


def refuse(draft: Draft, begun: SubmissionBegins, refused: SubmitRefused) -> None:
    """Fail the job, if the latest attempt was refused and has no other answer. A late refusal also
    settles an unconfirmed job: the provider does not have it, and nothing was paid."""
    job = draft.job
    code = refused.status_code
    _note(draft, "refused", begun.attempt, status_code=code)
    unanswered = job.phase in (Phase.SUBMITTING, Phase.SUBMIT_UNCONFIRMED)
    if not unanswered or begun.attempt != job.attempts:
        return
    draft.set(maybe_sent=False, refused_with=code)
    why = (
        ErrorCode.PROVIDER_CREDENTIALS
        if refused.credentials_refused
        else ErrorCode.PROVIDER_REFUSED
    )
    error = JobError(why, refused.message, may_have_been_billed=False)
    outcomes.finish(draft, Status.FAILED, Evidence.SUBMIT, error, message=error.message)


def accept(draft: Draft, answer: SubmitAccepted, attempt: int) -> None:
    """Apply an acceptance. Until the job is finished, its id takes precedence over a callback's."""
    job, provider_request_id, taken = draft.job, answer.provider_request_id, answer.taken_id
    why = {} if taken is None else {"reason": f"the id {taken} belongs to another job"}
    _note(draft, "accepted", attempt, provider_request_id=provider_request_id, **why)
    # The id that a finished job has stays.
    can_be_set = job.provider_request_id is None if job.done else not job.id_from_answer
    is_set = can_be_set and provider_request_id is not None
    if is_set:
        draft.set(provider_request_id=provider_request_id, id_from_answer=True)
        draft.track(misses=0, missed_since=None)
    if answer.urls and draft.job.provider_request_id == provider_request_id:
        draft.set(provider_urls=answer.urls)
    if job.done:
        if is_set and failures.is_provisional(job):
            draft.call_at(draft.now)
        outcomes.pass_on_cancel(draft)
    elif job.accepted_at is None:
        outcomes.mark_accepted(draft, Evidence.SUBMIT)
    else:
        draft.call_at(job.due.at if job.due and job.due.lane is Lane.POLL else draft.now)
