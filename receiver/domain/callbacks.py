"""Applies callbacks. An unsigned terminal callback is a claim until a status call decides, or until
CONFIRM_TIMEOUT has passed without a usable answer. If claims need no confirmation, it counts at
once."""

from dataclasses import replace

from receiver.domain import outcomes, schedule, serialization
from receiver.domain.answers import Report
from receiver.domain.draft import Draft, plan_next_poll, schedule_status_call, visible
from receiver.domain.observations import CallbackReceived
from receiver.domain.results import truncate_result
from store.records.callbacks import Verdict
from store.records.jobs import FINAL_STATUSES, Claim, Evidence, Job, Phase, Status
from store.records.times import Due, Lane, Millis

MAX_CLAIMS = 8
"""Maximum number of undecided claims per job; further ones are only recorded in the history."""


def apply_callback(draft: Draft, callback: CallbackReceived) -> None:
    """Apply a callback. Progress counts at once; an outcome becomes a claim, unless it is signed or
    claims need no confirmation."""
    job, report = draft.job, callback.report
    named = report.provider_request_id
    if job.done and not serialization.is_provisional(job):
        if job.cancel_wanted and job.provider_request_id is None:
            draft.set(provider_request_id=named)
            outcomes.pass_on_cancel(draft)
        draft.set_verdict(callback.callback_id, Verdict.LATE)
        return
    if named is not None and job.provider_request_id is None:
        draft.set(provider_request_id=named)
        if job.tracking.claims or job.tracking.result_pending:
            # Without a provider id, no status call could be made for the claims or the result.
            schedule_status_call(draft, draft.now)
    if report.status in FINAL_STATUSES:
        _apply_terminal_callback(draft, callback)
    else:
        _apply_progress(draft, callback)


def _apply_progress(draft: Draft, callback: CallbackReceived) -> None:
    """Apply a callback that is not final. Once COMPLETED is known, the provider's status in this
    callback is ignored, and the call for the result is not postponed."""
    before, report = draft.job, callback.report
    completed = before.tracking.result_pending
    if before.done:
        draft.set_verdict(callback.callback_id, Verdict.LATE)
        if before.due is None and not completed:  # it may have named the provider's id
            outcomes.watch_for_correction(draft)
        return
    draft.set_verdict(callback.callback_id, Verdict.APPLIED)
    _prove_acceptance(draft)
    news = replace(report, provider_status=None) if completed else report
    outcomes.apply_progress(draft, news, Evidence.CALLBACK)
    if not completed:
        _postpone_poll(draft, before)


def _prove_acceptance(draft: Draft) -> None:
    """Accept the job: its own callback proves that the provider has it, whatever it answered."""
    if not draft.job.done and draft.job.accepted_at is None:
        outcomes.mark_accepted(draft, Evidence.CALLBACK)


def _postpone_poll(draft: Draft, before: Job) -> None:
    """Postpone the next poll, because callbacks are arriving. One that is due already stays due: a
    callback that could not be used may have asked for it."""
    job = draft.job
    if job.tracking.claims or job.due is None or job.due.lane is Lane.CONFIRM:
        return
    if job.due.lane is Lane.POLL and job.due.at <= draft.now:
        return
    planned = job.due.at if job.due.lane is Lane.POLL else draft.now + draft.rules.poll_first
    # After the deadline a status call is required: further callbacks do not delay it.
    overdue = draft.now >= schedule.deadline(job, draft.rules)
    gap = 0 if overdue else schedule.next_gap(job.tracking.poll_gap, draft.rules)
    schedule_status_call(draft, max(planned, draft.now + gap))
    if job.tracking.poll_gap is not None and visible(before) != visible(job):
        draft.track(poll_gap=None)


def _apply_terminal_callback(draft: Draft, callback: CallbackReceived) -> None:
    """Apply a terminal callback. One that is verified, or needs no confirmation, counts at once.
    Anybody could have sent another: a status call decides it, and also fetches a result that is not
    in it."""
    report = callback.report
    if not callback.verified:
        # Only the provider itself can say that a result is gone for good.
        report = replace(report, result_is_gone=False)
    _prove_acceptance(draft)
    if callback.verified or not draft.rules.confirm_callbacks:
        _apply_without_confirmation(draft, callback.callback_id, report)
    else:
        _make_claim(draft, callback, report)


def _apply_without_confirmation(draft: Draft, callback_id: int, report: Report) -> None:
    """Apply a terminal callback without confirmation. If it lacks the result, only the result is
    fetched, as soon as the provider's id is known."""
    outcomes.mark_claims_late(draft)
    # After the claims: the callback may be one of them, sent again with a signature.
    draft.set_verdict(callback_id, Verdict.APPLIED)
    outcomes.apply_terminal(draft, report, Evidence.CALLBACK)
    if report.lacks_result:
        word = report.provider_status or report.status
        draft.track(result_pending=True, completed_status_text=word, completed_at=draft.now)
        if draft.job.provider_request_id is not None:
            draft.set(due=Due(Lane.CONFIRM, draft.now))


def _make_claim(draft: Draft, callback: CallbackReceived, report: Report) -> None:
    """Keep a terminal callback as a claim. Once a signed callback has said COMPLETED without a
    result, a claim of another status is not used: the result may not be available for a while."""
    claims, completed = (
        draft.job.tracking.claims,
        draft.job.tracking.completed_status_text is not None,
    )
    overturns = completed and report.status is not Status.COMPLETED
    if overturns or len(claims) >= MAX_CLAIMS:
        draft.set_verdict(callback.callback_id, Verdict.LATE)
        return
    draft.set_verdict(callback.callback_id, Verdict.CLAIMED)
    assert report.status is not None
    # One whole result is stored per job: that of the first claim that has one, since `trust_claim`
    # accepts no later result.
    truncate = truncate_result if any(c.result is not None for c in claims) else draft.truncate
    result = report.result and truncate(report.result)
    claim = Claim(
        callback.callback_id,
        draft.now,
        report.status,
        report.provider_status,
        result,
        report.message,
    )
    if not claims:
        draft.track(failing_since=None, poll_gap=None)
    draft.track(claims=(*claims, claim))
    if not draft.job.done:
        draft.set(phase=Phase.CONFIRMING)
    if not claims:
        schedule_status_call(draft, draft.now)


def retry_confirmation(
    draft: Draft, retry_after: Millis | None, paused_until: Millis | None = None
) -> None:
    """After an answer that decides no claim (none, 404, or COMPLETED without a result), retry.
    CONFIRM_TIMEOUT after the first of them, accept a claim."""
    tracking = draft.job.tracking
    since = draft.now if tracking.failing_since is None else tracking.failing_since
    draft.track(failing_since=since)
    trusted_at = since + draft.rules.confirm_timeout
    if draft.now >= trusted_at:
        trust_claim(draft)
    else:
        schedule_status_call(
            draft, min(plan_next_poll(draft, retry_after, paused_until), trusted_at)
        )


def trust_claim(draft: Draft) -> None:
    """Accept a claim unconfirmed: the oldest with a result or a failure, else the oldest."""
    claims = draft.job.tracking.claims
    decisive = [c for c in claims if c.status is not Status.COMPLETED or c.result is not None]
    chosen = (decisive or claims)[0]
    for claim in claims:
        if claim is chosen:
            draft.set_verdict(claim.callback_id, Verdict.APPLIED, confirmed=False)
        else:
            draft.set_verdict(claim.callback_id, Verdict.LATE)
    draft.track(claims=(), failing_since=None, poll_gap=None)
    report = Report(chosen.status, chosen.provider_status, None, chosen.result, chosen.message)
    outcomes.apply_terminal(draft, report, Evidence.CALLBACK)
