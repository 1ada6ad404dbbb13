"""Applies the answers to status calls."""

from dataclasses import replace
from typing import assert_never

from receiver.domain import outcomes, schedule, serialization
from receiver.domain.answers import Report, StatusMissing, StatusReport, StatusUnavailable
from receiver.domain.callbacks import retry_confirmation
from receiver.domain.draft import Draft, plan_next_poll, schedule_status_call, visible
from receiver.domain.observations import StatusCallEnded
from store.records.callbacks import Verdict
from store.records.jobs import FINAL_STATUSES, ErrorCode, Evidence, Job, Phase, Status
from store.records.times import Due, Lane, Millis


def apply_poll(draft: Draft, call: StatusCallEnded) -> None:
    """Apply the answer to a status call. Of finished jobs, only provisional failures change."""
    planned = draft.job.due
    _apply(draft, call)
    match planned, draft.job.due:
        case Due(Lane.POLL, at), Due(Lane.POLL) if call.asked_at < at <= draft.now:
            # The job became due again during the call, so the answer may be outdated: stay due.
            draft.set(due=planned)


def _apply(draft: Draft, call: StatusCallEnded) -> None:
    job = draft.job
    if job.provider_request_id is None or (job.done and not serialization.is_provisional(job)):
        return
    if call.number > job.tracking.polls:
        draft.track(polls=call.number)
    elif not _is_outcome_of(job, call):
        # Applied before, or outdated by a later answer.
        return
    if call.asked_id != job.provider_request_id:
        # The answer to the submission has replaced the id during the call: poll with the new one.
        schedule_status_call(draft, draft.now)
        return
    if _is_overtaken(job, call):
        return
    match call.answer:
        case StatusReport(report=report):
            draft.track(misses=0, missed_since=None)
            if report.status not in FINAL_STATUSES:
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


def _is_outcome_of(job: Job, call: StatusCallEnded) -> bool:
    """Whether the answer is the outcome of this job: it counts even if it is outdated."""
    if not isinstance(call.answer, StatusReport) or call.asked_id != job.provider_request_id:
        return False
    report = call.answer.report
    return report.status in FINAL_STATUSES and not report.lacks_result


def _is_overtaken(job: Job, call: StatusCallEnded) -> bool:
    """Whether the provider itself reported COMPLETED during the call, so that the result is fetched
    next: an answer that is not final may be older than that report."""
    answer, due = call.answer, job.due
    if job.tracking.completed_status_text is None or due is None or due.lane is not Lane.CONFIRM:
        return False
    is_final = isinstance(answer, StatusReport) and answer.report.status in FINAL_STATUSES
    return call.asked_at < due.at and not is_final


def _go_on(draft: Draft, call: StatusCallEnded) -> None:
    """Continue after a call that decided neither a claim nor the job."""
    if draft.job.tracking.claims:
        retry_confirmation(draft, call.answer.retry_after, _pause_in(call))
    else:
        _poll_again_or_fail(draft, call)


def _poll_again_or_fail(draft: Draft, call: StatusCallEnded) -> None:
    """Fail the job if the call began after the deadline, else poll again. After a 404 or no usable
    answer, the deadline is a day later."""
    job, retry_after = draft.job, call.answer.retry_after
    end = schedule.deadline(job, draft.rules)
    if not isinstance(call.answer, StatusReport):
        end += schedule.GRACE
    if job.done:
        outcomes.watch_for_correction(draft, retry_after)
    elif call.asked_at >= end:
        outcomes.miss_deadline(draft, retry_after)
    else:
        schedule_status_call(draft, plan_next_poll(draft, retry_after, _pause_in(call)))


def _pause_in(call: StatusCallEnded) -> Millis | None:
    """Until when the calls to the provider pause, if they do."""
    answer = call.answer
    return answer.paused_until if isinstance(answer, StatusUnavailable) else None


def _apply_unfinished(draft: Draft, report: Report, call: StatusCallEnded) -> None:
    """Apply a status that is not final. It denies earlier claims; if no later one is left, a passed
    deadline applies."""
    before = draft.job
    _deny_claims(draft, report, call.asked_at)
    draft.track(
        failing_since=None, result_pending=False, completed_status_text=None, completed_at=None
    )
    claims, retry_after = draft.job.tracking.claims, call.answer.retry_after
    if before.done:
        outcomes.watch_for_correction(draft, retry_after)
        return
    if not claims and before.phase is Phase.CONFIRMING:
        rendering = before.status is Status.IN_PROGRESS
        draft.set(phase=Phase.RENDERING if rendering else Phase.ACCEPTED, evidence=Evidence.POLL)
    outcomes.apply_progress(draft, report, Evidence.POLL)
    if claims:
        outcomes.schedule_confirmation(draft, retry_after)
        return
    if visible(before) != visible(draft.job):
        draft.note("poll", provider_status=report.provider_status, status=draft.job.status)
        draft.track(poll_gap=None)
    _poll_again_or_fail(draft, call)


def _deny_claims(draft: Draft, report: Report, asked_at: Millis) -> None:
    """Deny the claims that were received before the call began."""
    claims = draft.job.tracking.claims
    denied = [claim for claim in claims if claim.received_at < asked_at]
    for claim in denied:
        draft.set_verdict(claim.callback_id, Verdict.DENIED)
    if denied:
        draft.note("poll", provider_status=report.provider_status, denied_claims=True)
        draft.track(poll_gap=None)
    # A claim from the future was received before the clock stepped back: the next call decides it.
    left = [
        claim._replace(received_at=min(claim.received_at, draft.now))
        for claim in claims
        if claim not in denied
    ]
    draft.track(claims=tuple(left))
    if any(claim.result is not None for claim in denied):
        # The whole result that is stored may be the denied one.
        draft.whole_result = next((c.result for c in left if c.result is not None), None)


def _apply_linkless(draft: Draft, report: Report, call: StatusCallEnded) -> None:
    """Apply COMPLETED without a link: not an outcome yet, and not a decision on waiting claims."""
    if not draft.job.done and not draft.job.tracking.claims:
        if not draft.job.tracking.result_pending:
            draft.note("poll", provider_status=report.provider_status, link_missing=True)
            draft.track(poll_gap=None)
        outcomes.mark_result_pending(draft, report, Evidence.POLL)
    _go_on(draft, call)


def _apply_miss(draft: Draft, call: StatusCallEnded) -> None:
    """Fail a job that the provider has not known for a while; until then, or while a claim waits,
    the 404 counts as no usable answer."""
    tracking = draft.job.tracking
    since = draft.now if tracking.missed_since is None else tracking.missed_since
    draft.track(misses=tracking.misses + 1, missed_since=since)
    if draft.job.done or tracking.claims or not _is_lost(draft.job, draft.now):
        _go_on(draft, call)
    else:
        retry_after = call.answer.retry_after
        outcomes.give_up(draft, ErrorCode.PROVIDER_JOB_LOST, retry_after, evidence=Evidence.POLL)


def _apply_outcome(draft: Draft, report: Report) -> None:
    """Apply the outcome, and decide all claims. If a callback had said the same, it counts as the
    evidence, and its status word or message is used where the answer has none."""
    tracking = draft.job.tracking
    agreeing = [c for c in tracking.claims if c.status is report.status]
    completed_by_callback = tracking.result_pending and draft.job.evidence is Evidence.CALLBACK
    callback_said_completed = completed_by_callback or tracking.completed_status_text is not None
    by_callback = agreeing or (callback_said_completed and report.status is Status.COMPLETED)
    if by_callback and report.provider_status is None:
        report = replace(report, provider_status=tracking.completed_status_text)
    if report.message is None:
        message = next((claim.message for claim in agreeing if claim.message), None)
        report = replace(report, message=message)
    draft.note("poll", provider_status=report.provider_status, status=report.status)
    for claim in draft.job.tracking.claims:
        if claim in agreeing:
            draft.set_verdict(claim.callback_id, Verdict.CONFIRMED, confirmed=True)
        else:
            draft.set_verdict(claim.callback_id, Verdict.DENIED)
    draft.track(claims=())
    outcomes.apply_terminal(draft, report, Evidence.CALLBACK if by_callback else Evidence.POLL)


def _is_lost(job: Job, now: Millis) -> bool:
    tracking = job.tracking
    return (
        tracking.misses >= schedule.MISSES_TO_LOSE
        and tracking.missed_since is not None
        and now - tracking.missed_since >= schedule.MISSING_TO_LOSE
    )
