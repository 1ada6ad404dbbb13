"""A job's submission: begun once, and what its answer makes of it (contract 6, rules 1, 2, 8)."""

from receiver.domain import announcements, schedule
from receiver.domain.draft import Draft, let_inbox_go_first, look_again
from receiver.domain.observations import SubmissionBegins, SubmitNotSent, SubmitRefused
from receiver.domain.outcomes import become_accepted, finish, give_up, watch_for_correction
from store.records import Due, ErrorCode, Evidence, JobError, Lane, Millis, Phase, Status


def begin(draft: Draft, begins: SubmissionBegins) -> None:
    job = draft.job
    if job.phase is not Phase.QUEUED:
        return
    if job.callbacks_waiting:
        # Only a submission told the provider its address: an earlier attempt may have arrived.
        let_inbox_go_first(draft, Lane.SUBMIT)
        return
    if draft.now >= schedule.deadline(job, draft.rules):
        _give_up_unsent(draft)
        return
    draft.set(
        phase=Phase.SUBMITTING,
        attempts=job.attempts + 1,
        due=Due(Lane.SUBMITTING, begins.lease_until),
    )


def hold(draft: Draft, until: Millis) -> None:
    """Wait for the provider's Retry-After, though not past the deadline."""
    job = draft.job
    if job.phase is not Phase.QUEUED:
        return
    end = schedule.deadline(job, draft.rules)
    if draft.now >= end:
        _give_up_unsent(draft)
    else:
        planned = job.due.at if job.due else draft.now
        draft.set(due=Due(Lane.SUBMIT, min(max(until, planned), end)))


def requeue(draft: Draft, not_sent: SubmitNotSent) -> None:
    job = draft.job
    draft.note("submission", outcome="not_sent", reason=not_sent.reason)
    if job.phase is not Phase.SUBMITTING:
        return
    end = schedule.deadline(job, draft.rules)
    pause = max(schedule.submit_backoff(job), not_sent.retry_after or 0)
    draft.set(phase=Phase.QUEUED, due=Due(Lane.SUBMIT, min(draft.now + pause, end)))
    if draft.now >= end:
        _give_up_unsent(draft)


def _give_up_unsent(draft: Draft) -> None:
    """The deadline of a job that was never taken, unless a callback on disk may prove otherwise."""
    if draft.job.callbacks_waiting:
        let_inbox_go_first(draft, Lane.SUBMIT)
    else:
        give_up(draft, ErrorCode.NOT_SUBMITTED, "The job could not be submitted in time.")


def become_unconfirmed(draft: Draft, reason: str) -> None:
    """It may be running: only the provider's word moves it on, and nothing sends it again."""
    if draft.job.phase is not Phase.SUBMITTING:
        # Its callback came first and proves more than this can say, or it is over.
        if draft.job.attempts:
            draft.note("submission", outcome="unknown", reason=reason)
        return
    draft.note("submission", outcome="unknown", reason=reason)
    draft.set(
        phase=Phase.SUBMIT_UNCONFIRMED,
        unconfirmed_at=draft.now,
        maybe_sent=True,
        evidence=Evidence.SUBMIT,
        due=Due(Lane.WAIT, draft.now + draft.rules.unconfirmed_deadline),
    )


def refuse(draft: Draft, refused: SubmitRefused) -> None:
    draft.note("submission", outcome="refused", status_code=refused.status_code)
    if draft.job.phase not in (Phase.SUBMITTING, Phase.SUBMIT_UNCONFIRMED):
        return
    draft.set(maybe_sent=False, refused_with=refused.status_code)
    code = ErrorCode.PROVIDER_CREDENTIALS if refused.by_credentials else ErrorCode.PROVIDER_REFUSED
    message = announcements.cut(refused.message, announcements.MESSAGE_CHARACTERS)
    finish(draft, Status.FAILED, Evidence.SUBMIT, JobError(code, message, False), message=message)


def accept(draft: Draft, provider_request_id: str | None) -> None:
    """The submission's own answer: it outranks an id that a callback brought."""
    job = draft.job
    draft.note("submission", outcome="accepted", provider_request_id=provider_request_id)
    if job.done:
        if provider_request_id is not None and job.provider_request_id is None:
            draft.set(provider_request_id=provider_request_id, id_from_answer=True)
            watch_for_correction(draft)
        return
    if provider_request_id is not None and not job.id_from_answer:
        draft.set(provider_request_id=provider_request_id, id_from_answer=True)
        draft.track(misses=0, missed_since=None)
    if job.accepted_at is None:
        become_accepted(draft, Evidence.SUBMIT)
    else:
        look_again(draft, job.due.at if job.due and job.due.lane is Lane.POLL else draft.now)
