"""Applies statuses and deadlines to a job: progress, outcome, correction. Shared by callbacks,
polls and timeouts."""

from typing import Any, Final

from receiver.domain import archive, schedule, serialization
from receiver.domain.answers import Report
from receiver.domain.documents import MESSAGE_CHARACTERS, PROVIDER_STATUS_CHARACTERS
from receiver.domain.draft import Draft, plan_next_poll, schedule_status_call
from store.records.callbacks import Verdict
from store.records.jobs import ErrorCode, Evidence, JobError, Phase, Status, Tracking
from store.records.times import Due, Lane, Millis

_DECLARED: Final = {
    ErrorCode.NOT_SUBMITTED: "The job could not be submitted in time.",
    ErrorCode.SUBMIT_OUTCOME_UNKNOWN: "The submission got no answer, and no callback came.",
    ErrorCode.DEADLINE_EXCEEDED: "The job did not finish before its deadline.",
    ErrorCode.RESULT_MISSING: "The provider reported completion but gave no result.",
    ErrorCode.PROVIDER_JOB_LOST: "The provider no longer knows the job.",
}
"""The message for each failure that we declare. Unlike the others, NOT_SUBMITTED is certain and is
never corrected: it is not in `serialization.PROVISIONAL_FAILURES`."""
_WITHOUT_RESULT: Final = {
    Status.FAILED: (
        ErrorCode.PROVIDER_FAILED,
        "The provider reported a failure and gave no reason.",
    ),
    Status.CANCELLED: (ErrorCode.CANCELED_BY_PROVIDER, "Canceled by the provider."),
}
"""By the provider's status: the error code, and the message if the provider gave none."""


def mark_accepted(draft: Draft, evidence: Evidence) -> None:
    """Mark the job as accepted by the provider, and schedule its first poll."""
    draft.set(phase=Phase.ACCEPTED, accepted_at=draft.now, evidence=evidence, maybe_sent=True)
    schedule_status_call(draft, draft.now + draft.rules.poll_first)


def apply_progress(draft: Draft, report: Report, evidence: Evidence) -> None:
    """Apply a status that is not final: status and progress never go back."""
    before = draft.job
    news: dict[str, Any] = {}
    if report.status is Status.IN_PROGRESS and before.status is Status.PENDING:
        news["status"] = Status.IN_PROGRESS
        if before.phase is not Phase.CONFIRMING:
            news["phase"] = Phase.RENDERING
    if report.progress is not None:
        news["progress"] = max(min(report.progress, 99.0), before.progress or 0.0)
    if report.provider_status is not None:
        news["provider_status"] = report.provider_status[:PROVIDER_STATUS_CHARACTERS]
    if report.message is not None:
        news["message"] = report.message[:MESSAGE_CHARACTERS]
    if any(value != getattr(before, name) for name, value in news.items()):
        draft.set(**news, evidence=evidence)


def apply_terminal(draft: Draft, report: Report, evidence: Evidence) -> None:
    """Apply a final status. COMPLETED without a result is no outcome yet: polling goes on. After a
    provisional failure, the outcome is the one allowed correction."""
    if report.result_is_gone:
        _lose_result(draft, report, evidence)
        return
    if report.lacks_result:
        if draft.job.done:
            watch_for_correction(draft)
        else:
            mark_result_pending(draft, report, evidence)
            schedule_status_call(draft, plan_next_poll(draft, None))
        return
    _show_provider_status(draft, report)
    message = report.message and report.message[:MESSAGE_CHARACTERS]
    if report.status is Status.COMPLETED:
        assert report.result is not None
        result = draft.truncate(report.result)
        draft.set(result=result, result_at=draft.now, progress=100.0)
        finish(draft, Status.COMPLETED, evidence, None, message=message)
        archive.begin(draft, report.result)
        return
    assert report.status is not None
    code, no_message = _WITHOUT_RESULT[report.status]
    message = message or no_message
    finish(draft, report.status, evidence, JobError(code, message, True), message=message)


def _lose_result(draft: Draft, report: Report, evidence: Evidence) -> None:
    """Fail a job that the provider has completed, but whose result it has removed since. A failure
    that we declared before stays. It is not polled any more."""
    if not draft.job.done:
        _show_provider_status(draft, report)
        removed = "The provider completed the job and has removed the result since."
        give_up(draft, ErrorCode.RESULT_MISSING, evidence=evidence, message=removed)
    mark_claims_late(draft)
    draft.set(due=None)


def pass_on_cancel(draft: Draft) -> None:
    """Schedule the cancel request to the provider, once its id for the job is known."""
    if draft.job.cancel_wanted and draft.job.provider_request_id is not None:
        draft.set(due=Due(Lane.POLL, draft.now))


def mark_result_pending(draft: Draft, report: Report, evidence: Evidence) -> None:
    """Mark a job as completed by the provider, but without a result: a later status call returns
    that. The caller schedules the call."""
    mark_claims_late(draft)
    draft.track(result_pending=True)
    draft.set(phase=Phase.CONFIRMING, evidence=evidence)
    _show_provider_status(draft, report)


def _show_provider_status(draft: Draft, report: Report) -> None:
    if report.provider_status is not None:
        draft.set(provider_status=report.provider_status[:PROVIDER_STATUS_CHARACTERS])


def miss_deadline(draft: Draft, retry_after: Millis | None = None) -> None:
    """Fail the job at its deadline."""
    linkless = draft.job.tracking.result_pending
    code = ErrorCode.RESULT_MISSING if linkless else ErrorCode.DEADLINE_EXCEEDED
    give_up(draft, code, retry_after)


def give_up(
    draft: Draft,
    code: ErrorCode,
    retry_after: Millis | None = None,
    *,
    evidence: Evidence = Evidence.DEADLINE,
    message: str | None = None,
) -> None:
    """Declare the job failed. `retry_after` comes from the answer that led to this."""
    message = message or _DECLARED[code]
    error = JobError(code, message, draft.job.maybe_sent)
    kept = draft.job.tracking
    finish(draft, Status.FAILED, evidence, error, message=message)
    draft.track(poll_gap=kept.poll_gap, completed_status_text=kept.completed_status_text)
    watch_for_correction(draft, retry_after)


def finish(
    draft: Draft, status: Status, evidence: Evidence, error: JobError | None, *, message: str | None
) -> None:
    """Finish the job."""
    mark_claims_late(draft)
    draft.set(
        status=status,
        phase=Phase.FINISHED,
        evidence=evidence,
        error=error,
        message=message,
        # If the clock was set back, `now` is too early: the job would look old once the clock is
        # corrected.
        done_at=max(draft.now, draft.job.updated_at),
        due=None,
        tracking=Tracking(polls=draft.job.tracking.polls),
    )


def mark_claims_late(draft: Draft) -> None:
    """Give undecided claims the verdict LATE: something else has decided the job, or has shown that
    it is COMPLETED."""
    for claim in draft.job.tracking.claims:
        draft.set_verdict(claim.callback_id, Verdict.LATE)
    draft.track(claims=())


def watch_for_correction(draft: Draft, retry_after: Millis | None = None) -> None:
    """Keep polling after a provisional failure, at growing gaps, until a day after it, or after a
    later callback that said COMPLETED without a result."""
    job = draft.job
    if not serialization.is_provisional(job) or job.done_at is None:
        return
    if job.tracking.claims:
        schedule_confirmation(draft, retry_after)
        return
    gap = schedule.next_gap(job.tracking.poll_gap, draft.rules, schedule.LATE_POLL_MAX)
    at = draft.now + schedule.jittered(job, gap, draft.rules)
    end = max(job.done_at, job.tracking.completed_at or 0) + schedule.GRACE
    if job.provider_request_id is None or at > end:
        draft.set(due=None)
    else:
        draft.track(poll_gap=gap)
        # A Retry-After never skips the last poll: a server may send one of a day every time.
        draft.set(due=Due(Lane.POLL, min(max(at, draft.now + (retry_after or 0)), end)))


def schedule_confirmation(draft: Draft, retry_after: Millis | None) -> None:
    """Schedule a status call for claims received after the last one began; Retry-After delays it
    by at most CONFIRM_TIMEOUT."""
    schedule_status_call(draft, draft.now + min(retry_after or 0, draft.rules.confirm_timeout))
