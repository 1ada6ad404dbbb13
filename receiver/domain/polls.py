"""Applies the answers to status calls."""

from dataclasses import replace
from typing import assert_never

from receiver.domain import schedule, serialization
from receiver.domain.answers import Report, StatusMissing, StatusReport, StatusUnavailable
from receiver.domain.claims import fail_to_confirm
from receiver.domain.draft import Draft, look_again, visible
from receiver.domain.observations import Polled
from receiver.domain.outcomes import (
    apply_progress,
    apply_terminal,
    give_up,
    look_again_at_claims,
    poll_again_or_fail,
    wait_for_link,
    watch_for_correction,
)
from store.records.callbacks import Verdict
from store.records.jobs import FINAL_STATUSES, ErrorCode, Evidence, Job, Phase, Status
from store.records.times import Due, Lane, Millis


def apply_poll(draft: Draft, polled: Polled) -> None:
    """Apply a status call. Of finished jobs, only self-declared failures can still change."""
    planned = draft.job.due
    _apply(draft, polled)
    match planned, draft.job.due:
        case Due(Lane.POLL, at), Due(Lane.POLL) if polled.asked_at < at <= draft.now:
            # The job became due again during the call, whose answer may be older than that.
            draft.set(due=planned)


def _apply(draft: Draft, polled: Polled) -> None:
    job = draft.job
    if job.provider_request_id is None or (job.done and not serialization.is_self_declared(job)):
        return
    if polled.asked_id != job.provider_request_id:
        # The answer to the submission has replaced the id during the call: poll with the new one.
        look_again(draft, draft.now)
        return
    draft.track(polls=job.tracking.polls + 1)
    answer = polled.answer
    match answer:
        case StatusReport(report=report):
            draft.track(misses=0, missed_since=None)
            if report.status not in FINAL_STATUSES:
                _apply_unfinished(draft, report, polled.asked_at, answer.retry_after)
            elif report.lacks_result:
                _apply_linkless(draft, report, polled.asked_at, answer.retry_after)
            else:
                _apply_outcome(draft, report)
        case StatusMissing():
            since = draft.now if job.tracking.missed_since is None else job.tracking.missed_since
            draft.track(misses=job.tracking.misses + 1, missed_since=since)
            callbacks = job.tracking.claims or job.callbacks_waiting
            if job.done or callbacks or not _is_lost(draft.job, draft.now):
                _go_on(draft, polled.asked_at, answer.retry_after)
            else:
                code = ErrorCode.PROVIDER_JOB_LOST
                give_up(draft, code, answer.retry_after, evidence=Evidence.POLL)
        case StatusUnavailable():
            _go_on(draft, polled.asked_at - schedule.GRACE, answer.retry_after)
        case _:
            assert_never(answer)


def _go_on(draft: Draft, counts_from: Millis, retry_after: Millis | None) -> None:
    """Continue after a call that decided neither a claim nor the job."""
    if draft.job.tracking.claims:
        fail_to_confirm(draft, retry_after)
    else:
        poll_again_or_fail(draft, counts_from, retry_after)


def _apply_unfinished(
    draft: Draft, report: Report, asked_at: Millis, retry_after: Millis | None
) -> None:
    """The provider is still working: earlier claims are denied, and a passed deadline applies."""
    before = draft.job
    denied = [c for c in before.tracking.claims if c.received_at < asked_at]
    for claim in denied:
        draft.set_verdict(claim.callback_id, Verdict.DENIED)
    # A claim from the future was received before the clock stepped back: the next call decides it.
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
    poll_again_or_fail(draft, asked_at, retry_after)


def _apply_linkless(
    draft: Draft, report: Report, asked_at: Millis, retry_after: Millis | None
) -> None:
    """COMPLETED without a link is not an outcome yet, and does not decide a waiting claim."""
    if not draft.job.done and not draft.job.tracking.claims:
        if not draft.job.tracking.link_missing:
            draft.note("poll", provider_status=report.word, link_missing=True)
            draft.track(poll_gap=None)
        wait_for_link(draft, report, Evidence.POLL)
    _go_on(draft, asked_at, retry_after)


def _apply_outcome(draft: Draft, report: Report) -> None:
    agreeing = [c for c in draft.job.tracking.claims if c.status is report.status]
    draft.note("poll", provider_status=report.word, status=report.status)
    for claim in draft.job.tracking.claims:
        if claim in agreeing:
            draft.set_verdict(claim.callback_id, Verdict.CONFIRMED, confirmed=True)
        else:
            draft.set_verdict(claim.callback_id, Verdict.DENIED)
    draft.track(claims=())
    apply_terminal(draft, report, Evidence.CALLBACK if agreeing else Evidence.POLL)


def _is_lost(job: Job, now: Millis) -> bool:
    tracking = job.tracking
    return (
        tracking.misses >= schedule.MISSES_TO_LOSE
        and tracking.missed_since is not None
        and now - tracking.missed_since >= schedule.MISSING_TO_LOSE
    )
