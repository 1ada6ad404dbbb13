"""What a word or a deadline makes of a job: progress, an end, a correction. Shared by callbacks,
polls and time (contract 6, rules 3, 4 and 7)."""

from typing import Any

from receiver.domain import announcements, schedule
from receiver.domain.draft import Draft, look_again
from receiver.domain.observations import Report
from store.records import (
    Due,
    ErrorCode,
    Evidence,
    JobError,
    Lane,
    Millis,
    Phase,
    Status,
    Tracking,
    Verdict,
)


def become_accepted(draft: Draft, evidence: Evidence) -> None:
    """The provider has it."""
    draft.set(phase=Phase.ACCEPTED, accepted_at=draft.now, evidence=evidence, maybe_sent=True)
    look_again(draft, draft.now + draft.rules.poll_first)


def apply_progress(draft: Draft, report: Report, evidence: Evidence) -> None:
    """A word that is not final: status and progress only ever grow."""
    before = draft.job
    news: dict[str, Any] = {}
    if report.status is Status.IN_PROGRESS and before.status is Status.PENDING:
        news["status"] = Status.IN_PROGRESS
        if before.phase is not Phase.CONFIRMING:
            news["phase"] = Phase.RENDERING
    if report.progress is not None:
        news["progress"] = max(min(report.progress, 99.0), before.progress or 0.0)
    if report.word is not None:
        news["provider_status"] = report.word[: announcements.PROVIDER_STATUS_CHARACTERS]
    if report.message is not None:
        news["message"] = announcements.cut(report.message, announcements.MESSAGE_CHARACTERS)
    if any(value != getattr(before, name) for name, value in news.items()):
        draft.set(**news, evidence=evidence)


def apply_terminal(draft: Draft, report: Report, evidence: Evidence) -> None:
    """A final word that counts. On a failure that we declared it is the one correction."""
    if report.status is Status.COMPLETED and not report.has_link:
        if draft.job.done:
            watch_for_correction(draft)
        else:
            wait_for_link(draft, report, evidence)
            stay(draft, 0, None)
        return
    message = report.message and announcements.cut(report.message, announcements.MESSAGE_CHARACTERS)
    if report.word is not None:
        draft.set(provider_status=report.word[: announcements.PROVIDER_STATUS_CHARACTERS])
    if report.status is Status.COMPLETED:
        assert report.result is not None
        draft.set(
            result=announcements.fitting_result(report.result),
            result_at=draft.now,
            progress=100.0,
        )
        finish(draft, Status.COMPLETED, evidence, None, message=message)
    elif report.status is Status.FAILED:
        text = message or "The provider reported a failure and gave no reason."
        error = JobError(ErrorCode.PROVIDER_FAILED, text, True)
        finish(draft, Status.FAILED, evidence, error, message=text)
    else:
        text = message or "Canceled by the provider."
        error = JobError(ErrorCode.CANCELED_BY_PROVIDER, text, True)
        finish(draft, Status.CANCELLED, evidence, error, message=text)


def wait_for_link(draft: Draft, report: Report, evidence: Evidence) -> None:
    """The provider is done, and the link comes at a later status call."""
    draft.track(link_missing=True, claims=())
    draft.set(phase=Phase.CONFIRMING, evidence=evidence)
    if report.word is not None:
        draft.set(provider_status=report.word[: announcements.PROVIDER_STATUS_CHARACTERS])


def stay(draft: Draft, counts_from: Millis, retry_after: Millis | None) -> None:
    """Nothing final came: the deadline fires where `counts_from` reaches it, else poll again."""
    job = draft.job
    if job.done:
        watch_for_correction(draft, retry_after)
        return
    if counts_from >= schedule.deadline(job, draft.rules) and not job.callbacks_waiting:
        miss_deadline(draft, retry_after)
        return
    gap = schedule.next_gap(job.tracking.poll_gap, draft.rules)
    draft.track(poll_gap=gap)
    look_again(draft, draft.now + max(schedule.jittered(job, gap, draft.rules), retry_after or 0))


def miss_deadline(draft: Draft, retry_after: Millis | None = None) -> None:
    """The deadline fires."""
    if draft.job.tracking.link_missing:
        give_up(
            draft,
            ErrorCode.RESULT_MISSING,
            "The provider reported completion and never gave a result.",
            retry_after,
        )
    else:
        late = "The job did not end before its deadline."
        give_up(draft, ErrorCode.DEADLINE_EXCEEDED, late, retry_after)


def give_up(draft: Draft, code: ErrorCode, message: str, retry_after: Millis | None = None) -> None:
    """Fail the job by our own word; `retry_after` is the wish of the answer that led to it."""
    lost = code is ErrorCode.PROVIDER_JOB_LOST
    error = JobError(code, message, draft.job.maybe_sent)
    gap = draft.job.tracking.poll_gap
    finish(
        draft,
        Status.FAILED,
        Evidence.POLL if lost else Evidence.DEADLINE,
        error,
        message=message,
    )
    draft.track(poll_gap=gap)
    watch_for_correction(draft, retry_after)


def finish(
    draft: Draft,
    status: Status,
    evidence: Evidence,
    error: JobError | None,
    *,
    message: str | None,
) -> None:
    """End the job. Claims that are left came too late."""
    for claim in draft.job.tracking.claims:
        draft.rule(claim.callback_id, Verdict.LATE)
    draft.set(
        status=status,
        phase=Phase.FINISHED,
        evidence=evidence,
        error=error,
        message=message,
        done_at=draft.now,
        due=None,
        tracking=Tracking(polls=draft.job.tracking.polls),
    )


def watch_for_correction(draft: Draft, retry_after: Millis | None = None) -> None:
    """Keep asking about a failure that we declared, ever more rarely, for a day."""
    job = draft.job
    if not announcements.is_self_declared(job) or job.done_at is None:
        return
    if job.tracking.claims:
        look_again_at_claims(draft, retry_after)
        return
    gap = schedule.next_late_gap(job.tracking.poll_gap, draft.rules)
    at = draft.now + schedule.jittered(job, gap, draft.rules)
    end = job.done_at + schedule.GRACE
    if job.provider_request_id is None or at > end:
        draft.set(due=None)
    else:
        draft.track(poll_gap=gap)
        # No patience takes the last look away: a server may wish for a day with every answer.
        draft.set(due=Due(Lane.POLL, min(max(at, draft.now + (retry_after or 0)), end)))


def look_again_at_claims(draft: Draft, retry_after: Millis | None) -> None:
    """Claims wait for a call that begins after they came; patience holds them a bounded time."""
    look_again(draft, draft.now + min(retry_after or 0, draft.rules.confirm_timeout))
