"""Applies the answers to status calls."""

from dataclasses import replace
from typing import assert_never

from receiver.domain import failures, outcomes, schedule
from receiver.domain.answers import (
    Report,
    StatusAnswer,
    StatusMissing,
    StatusReport,
    StatusUnavailable,
)
from receiver.domain.callbacks import retry_confirmation
from receiver.domain.draft import Draft, visible
from receiver.domain.observations import StatusCallEnded
from store.records.callbacks import Verdict
from store.records.jobs import FINAL_STATUSES, ErrorCode, Evidence, Job, Phase, Status, Tracking
from store.records.times import Due, Lane, Millis

MISSES_TO_LOSE = 5
MISSING_TO_LOSE = 10 * schedule.MINUTE
"""A job counts as lost after this many 404s with no status in between, over at least this time."""


def apply_poll(draft: Draft, call: StatusCallEnded) -> None:
    """Apply the answer to a status call. Finished jobs change only if they can be corrected."""
    planned = draft.job.due
    # If the job became due again during the call, the answer may be outdated.
    is_outdated = planned is not None and call.asked_at < planned.at <= draft.now
    if is_outdated and draft.job.tracking.link_missing and not _is_final(call.answer):
        return  # the provider itself has reported COMPLETED meanwhile
    _apply(draft, call)
    match planned, draft.job.due:
        case Due(Lane.POLL), Due(Lane.POLL) if is_outdated:
            draft.set(due=planned)


def _apply(draft: Draft, call: StatusCallEnded) -> None:
    job = draft.job
    if job.provider_request_id is None or not failures.is_awaited(job):
        return
    if call.number > job.tracking.polls:
        draft.track(polls=call.number)
    elif not _is_outcome_of(job, call):
        # Applied before, or outdated by a later answer.
        return
    if call.asked_id != job.provider_request_id:
        # The answer to the submission has replaced the id during the call: poll with the new one.
        draft.call_at(draft.now)
        return
    match call.answer:
        case StatusReport(report=report):
            draft.track(misses=0, missed_since=None)
            if report.has_unknown_word:
                _apply_unknown_word(draft, report, call)
            elif report.status not in FINAL_STATUSES:
                _apply_unfinished(draft, report, call)
            elif report.lacks_result:
                _apply_linkless(draft, report, call)
            else:
                _apply_outcome(draft, report)
        case StatusMissing():
            _apply_miss(draft, call)
        case StatusUnavailable():
            _go_on(draft, call)
        case _:
            assert_never(call.answer)


def _is_final(answer: StatusAnswer) -> bool:
    return isinstance(answer, StatusReport) and answer.report.status in FINAL_STATUSES


def _is_outcome_of(job: Job, call: StatusCallEnded) -> bool:
    """Whether the answer is the outcome of this job: it counts even if it is outdated."""
    match call.answer:
        case StatusReport(report=report) if _is_final(call.answer) and not report.lacks_result:
            return call.asked_id == job.provider_request_id
        case _:
            return False


def _go_on(draft: Draft, call: StatusCallEnded) -> None:
    """Continue after a call that decided neither a claim nor the job. A deadline takes effect if
    the call began after it; after a 404 or no usable answer, it is a day later."""
    job, retry_after = draft.job, call.answer.retry_after
    end = schedule.deadline(job, draft.rules)
    if not isinstance(call.answer, StatusReport):
        end += schedule.GRACE
    if job.tracking.claims:
        retry_confirmation(draft, retry_after)
    elif not job.done and call.asked_at >= end:
        outcomes.miss_deadline(draft, retry_after)
    else:
        draft.call_after_gap(retry_after)


def _apply_unknown_word(draft: Draft, report: Report, call: StatusCallEnded) -> None:
    """Show a word that we do not know. It decides nothing, and denies no claim."""
    if not draft.job.done:
        outcomes.apply_progress(draft, report, Evidence.POLL)
    _go_on(draft, call)


def _apply_unfinished(draft: Draft, report: Report, call: StatusCallEnded) -> None:
    """Apply a status that is not final. It denies earlier claims; if no later one is left, a passed
    deadline applies."""
    before = draft.job
    _deny_claims(draft, report, call.asked_at)
    draft.track(failing_since=None, link_missing=False, completed_at=None)
    claims = draft.job.tracking.claims
    if not before.done:
        if not claims and before.phase is Phase.CONFIRMING:
            rendering = before.status is Status.IN_PROGRESS
            phase = Phase.RENDERING if rendering else Phase.ACCEPTED
            draft.set(phase=phase, evidence=Evidence.POLL)
        outcomes.apply_progress(draft, report, Evidence.POLL)
        if visible(before) != visible(draft.job):
            draft.note("poll", provider_status=report.provider_status, status=draft.job.status)
            draft.track(poll_gap=None)
    if claims:
        draft.call_at(draft.now + (call.answer.retry_after or 0))
    else:
        _go_on(draft, call)


def _deny_claims(draft: Draft, report: Report, asked_at: Millis) -> None:
    """Deny the claims that were received before the call began; also those from the future, which
    came before the clock stepped back."""
    claims = draft.job.tracking.claims
    left = tuple(claim for claim in claims if asked_at <= claim.received_at <= draft.now)
    for claim in claims:
        if claim not in left:
            draft.set_verdict(claim.callback_id, Verdict.DENIED)
    if left != claims:
        draft.note("poll", provider_status=report.provider_status, denied_claims=True)
        draft.track(claims=left, poll_gap=None)


def _apply_linkless(draft: Draft, report: Report, call: StatusCallEnded) -> None:
    """Apply COMPLETED without a link: not an outcome yet, and not a decision on waiting claims."""
    tracking = draft.job.tracking
    if not tracking.claims and not tracking.link_missing:
        if not draft.job.done:
            draft.note("poll", provider_status=report.provider_status, link_missing=True)
        draft.track(poll_gap=None)
        outcomes.mark_link_missing(draft, report, Evidence.POLL)
    _go_on(draft, call)


def _apply_miss(draft: Draft, call: StatusCallEnded) -> None:
    """Fail a job that the provider has not known for a while; until then, or while a claim waits,
    the 404 counts as no usable answer."""
    tracking = draft.job.tracking
    since = draft.now if tracking.missed_since is None else tracking.missed_since
    draft.track(misses=tracking.misses + 1, missed_since=since)
    if draft.job.done or tracking.claims or not _is_lost(draft.job.tracking, draft.now):
        _go_on(draft, call)
    else:
        retry_after = call.answer.retry_after
        outcomes.give_up(draft, ErrorCode.PROVIDER_JOB_LOST, retry_after, evidence=Evidence.POLL)


def _apply_outcome(draft: Draft, report: Report) -> None:
    """Apply the outcome, and decide all claims. If a callback had said the same, it counts as the
    evidence, and its message is used where the answer has none."""
    job = draft.job
    agreeing = [claim for claim in job.tracking.claims if claim.status is report.status]
    completed_by_callback = job.tracking.link_missing and job.evidence is Evidence.CALLBACK
    by_callback = agreeing or (completed_by_callback and report.status is Status.COMPLETED)
    if report.message is None:
        message = next((claim.message for claim in agreeing if claim.message), None)
        report = replace(report, message=message)
    draft.note("poll", provider_status=report.provider_status, status=report.status)
    for claim in job.tracking.claims:
        if claim in agreeing:
            draft.set_verdict(claim.callback_id, Verdict.CONFIRMED, confirmed=True)
        else:
            draft.set_verdict(claim.callback_id, Verdict.DENIED)
    draft.track(claims=())
    outcomes.apply_terminal(draft, report, Evidence.CALLBACK if by_callback else Evidence.POLL)


def _is_lost(tracking: Tracking, now: Millis) -> bool:
    return (
        tracking.misses >= MISSES_TO_LOSE
        and tracking.missed_since is not None
        and now - tracking.missed_since >= MISSING_TO_LOSE
    )
