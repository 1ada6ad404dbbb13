"""What status calls say (contract 7 and 8)."""

from dataclasses import replace
from typing import assert_never

from receiver.domain import announcements, schedule
from receiver.domain.claims import fail_to_confirm
from receiver.domain.draft import Draft, look_again, visible
from receiver.domain.observations import (
    Polled,
    Report,
    StatusMissing,
    StatusReport,
    StatusUnavailable,
)
from receiver.domain.outcomes import (
    apply_progress,
    apply_terminal,
    give_up,
    look_again_at_claims,
    stay,
    wait_for_link,
    watch_for_correction,
)
from store.records import (
    FINAL_STATUSES,
    ErrorCode,
    Evidence,
    Job,
    Millis,
    Phase,
    Status,
    Verdict,
)


def hear_poll(draft: Draft, polled: Polled) -> None:
    """A status call ended; of a finished job only a failure that we declared still listens."""
    job = draft.job
    if job.provider_request_id is None or (job.done and not announcements.is_self_declared(job)):
        return
    if polled.asked_id != job.provider_request_id:
        # The submission's answer outranked the id meanwhile: ask for the right one.
        look_again(draft, draft.now)
        return
    draft.track(polls=job.tracking.polls + 1)
    answer = polled.answer
    match answer:
        case StatusReport(report=report):
            draft.track(misses=0, missed_since=None)
            if report.status not in FINAL_STATUSES:
                _hear_unfinished(draft, report, polled.asked_at, answer.retry_after)
            elif report.status is Status.COMPLETED and not report.has_link:
                _hear_linkless(draft, report, polled.asked_at, answer.retry_after)
            else:
                _hear_outcome(draft, report)
        case StatusMissing():
            draft.track(
                misses=job.tracking.misses + 1,
                missed_since=draft.now
                if job.tracking.missed_since is None
                else job.tracking.missed_since,
            )
            if job.tracking.claims:
                fail_to_confirm(draft, answer.retry_after)
            elif not job.done and not job.callbacks_waiting and _is_lost(draft.job, draft.now):
                lost = "The provider no longer knows the job."
                give_up(draft, ErrorCode.PROVIDER_JOB_LOST, lost, answer.retry_after)
            else:
                stay(draft, polled.asked_at, answer.retry_after)
        case StatusUnavailable():
            if job.tracking.claims:
                fail_to_confirm(draft, answer.retry_after)
            else:
                stay(draft, polled.asked_at - schedule.GRACE, answer.retry_after)
        case _:
            assert_never(answer)


def _hear_unfinished(
    draft: Draft, report: Report, asked_at: Millis, retry_after: Millis | None
) -> None:
    """The provider still works on it: earlier claims are denied, and a passed deadline fires."""
    before = draft.job
    denied = [c for c in before.tracking.claims if c.received_at < asked_at]
    for claim in denied:
        draft.rule(claim.callback_id, Verdict.DENIED, evidence=Evidence.POLL)
    # A claim of the future was received before the clock stepped back: the next answer decides it.
    left = tuple(
        replace(c, received_at=min(c.received_at, draft.now))
        for c in before.tracking.claims
        if c not in denied
    )
    draft.track(claims=left, failing_since=None, link_missing=False)
    if denied:
        draft.note("poll", provider_status=report.word, denied_claims=True)
        draft.track(poll_gap=None)
    if before.done:
        watch_for_correction(draft, retry_after)
        return
    if not left and before.phase is Phase.CONFIRMING:
        rendering = before.status is Status.IN_PROGRESS
        draft.set(phase=Phase.RENDERING if rendering else Phase.ACCEPTED, evidence=Evidence.POLL)
    apply_progress(draft, report, Evidence.POLL)
    if left:
        look_again_at_claims(draft, retry_after)
        return
    if visible(before) != visible(draft.job):
        draft.note("poll", provider_status=report.word, status=draft.job.status)
        draft.track(poll_gap=None)
    stay(draft, asked_at, retry_after)


def _hear_linkless(
    draft: Draft, report: Report, asked_at: Millis, retry_after: Millis | None
) -> None:
    """COMPLETED without a link is no outcome yet; while a claim waits it decides nothing."""
    if draft.job.tracking.claims:
        fail_to_confirm(draft, retry_after)
        return
    if not draft.job.done:
        if not draft.job.tracking.link_missing:
            draft.note("poll", provider_status=report.word, link_missing=True)
            draft.track(poll_gap=None)
        wait_for_link(draft, report, Evidence.POLL)
    stay(draft, asked_at, retry_after)


def _hear_outcome(draft: Draft, report: Report) -> None:
    agreeing = [c for c in draft.job.tracking.claims if c.status is report.status]
    draft.note("poll", provider_status=report.word, status=report.status)
    for claim in draft.job.tracking.claims:
        if claim in agreeing:
            draft.rule(claim.callback_id, Verdict.CONFIRMED, confirmed=True, evidence=Evidence.POLL)
        else:
            draft.rule(claim.callback_id, Verdict.DENIED, evidence=Evidence.POLL)
    draft.track(claims=())
    apply_terminal(draft, report, Evidence.CALLBACK if agreeing else Evidence.POLL)


def _is_lost(job: Job, now: Millis) -> bool:
    tracking = job.tracking
    return (
        tracking.misses >= schedule.MISSES_TO_LOSE
        and tracking.missed_since is not None
        and now - tracking.missed_since >= schedule.MISSING_TO_LOSE
    )
