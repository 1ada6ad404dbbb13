"""Applies callbacks. An unsigned terminal callback is a claim until a status call decides, or until
CONFIRM_TIMEOUT has passed without a usable answer. If claims need no confirmation, it counts at
once."""

from dataclasses import replace

from receiver.domain import failures, outcomes, schedule
from receiver.domain.answers import Report
from receiver.domain.draft import Draft, visible
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
    named = callback.report.provider_request_id
    if named is not None and draft.job.provider_request_id is None:
        _apply_name(draft, named)
    if draft.job.done and not failures.can_be_corrected(draft.job):
        draft.set_verdict(callback.callback_id, Verdict.LATE)
    elif callback.report.status in FINAL_STATUSES:
        _apply_terminal_callback(draft, callback)
    else:
        _apply_progress(draft, callback)


def _apply_name(draft: Draft, named: str) -> None:
    """Record the provider's id, without which no call could be made."""
    job = draft.job
    if not job.done or failures.can_be_corrected(job):
        draft.set(provider_request_id=named)
        draft.call_at(draft.now)
    elif job.cancel_wanted:
        draft.set(provider_request_id=named)
        outcomes.pass_on_cancel(draft)


def _apply_progress(draft: Draft, callback: CallbackReceived) -> None:
    """Apply a callback that is not final. Once COMPLETED is known, the provider's status in this
    callback is ignored, and the call for the result is not postponed."""
    before, report = draft.job, callback.report
    if before.done:
        draft.set_verdict(callback.callback_id, Verdict.LATE)
        return
    draft.set_verdict(callback.callback_id, Verdict.APPLIED)
    _prove_acceptance(draft)
    if before.tracking.link_missing:
        outcomes.apply_progress(draft, replace(report, provider_status=None), Evidence.CALLBACK)
    else:
        outcomes.apply_progress(draft, report, Evidence.CALLBACK)
        _postpone_poll(draft, before)


def _prove_acceptance(draft: Draft) -> None:
    """Accept the job: its own callback proves that the provider has it, whatever it answered."""
    if not draft.job.done and draft.job.accepted_at is None:
        outcomes.mark_accepted(draft, Evidence.CALLBACK)


def _postpone_poll(draft: Draft, before: Job) -> None:
    """Postpone the next poll, because callbacks are arriving. One that is due already stays due: a
    callback that could not be used may have asked for it. So does one after the deadline, which
    takes effect by a call."""
    job = draft.job
    if job.due is None or job.due.lane is not Lane.POLL or job.due.at <= draft.now:
        return
    if draft.now < schedule.deadline(job, draft.rules):
        gap = schedule.next_gap(job.tracking.poll_gap, draft.rules, draft.rules.poll_max)
        draft.call_at(max(job.due.at, draft.now + gap))
    if visible(before) != visible(job):
        draft.track(poll_gap=None)


def _apply_terminal_callback(draft: Draft, callback: CallbackReceived) -> None:
    """Apply a terminal callback. One that is verified, or needs no confirmation, counts at once.
    Anybody could have sent another: a status call decides it, and also fetches a result that is not
    in it."""
    report, cost = callback.report, draft.job.cost
    if cost is not None and cost.rates.keys() & report.measures_apart:
        report = replace(report, result=None)
    if not callback.verified:
        # Only the provider itself can say that a result is gone for good.
        report = replace(report, result_is_gone=False)
    _prove_acceptance(draft)
    if callback.verified or report.is_only_word or not draft.rules.confirm_callbacks:
        _apply_without_confirmation(draft, callback, report)
    else:
        _make_claim(draft, callback, report)


def _apply_without_confirmation(draft: Draft, callback: CallbackReceived, report: Report) -> None:
    """Apply a terminal callback without confirmation. If it lacks the result, only that is fetched,
    as soon as the provider's id is known."""
    outcomes.mark_claims_late(draft)
    # After the claims: the callback may be one of them, sent again with a signature.
    confirmed = False if report.is_only_word and not callback.verified else None
    draft.set_verdict(callback.callback_id, Verdict.APPLIED, confirmed=confirmed)
    outcomes.apply_terminal(draft, report, Evidence.CALLBACK)
    if (
        report.lacks_result
        and not report.is_only_word
        and draft.job.provider_request_id is not None
    ):
        draft.set(due=Due(Lane.CONFIRM, draft.now))


def _make_claim(draft: Draft, callback: CallbackReceived, report: Report) -> None:
    """Keep a terminal callback as a claim. Once COMPLETED is known, only a result is of use: any
    other claim just makes the next status call due."""
    job, claims = draft.job, draft.job.tracking.claims
    is_useless = job.tracking.link_missing and report.result is None
    if is_useless or len(claims) >= MAX_CLAIMS:
        draft.set_verdict(callback.callback_id, Verdict.LATE)
        draft.call_at(draft.now)
        return
    draft.set_verdict(callback.callback_id, Verdict.CLAIMED)
    assert report.status is not None
    # Only the first result is kept whole, since `trust_claim` accepts no later one.
    is_first = all(claim.result is None for claim in claims)
    result = report.result if is_first or report.result is None else truncate_result(report.result)
    claim = Claim(
        callback.callback_id,
        draft.now,
        report.status,
        report.provider_status,
        result,
        report.message,
    )
    draft.track(claims=(*claims, claim))
    if not job.done:
        draft.set(phase=Phase.CONFIRMING)
    if not claims:
        draft.track(poll_gap=None)
        draft.call_at(draft.now)


def retry_confirmation(draft: Draft, retry_after: Millis | None) -> None:
    """After an answer that decides no claim (none, 404, or COMPLETED without a result), retry.
    CONFIRM_TIMEOUT after the first of them, accept a claim."""
    failing_since = draft.job.tracking.failing_since
    since = draft.now if failing_since is None else failing_since
    if draft.now >= since + draft.rules.confirm_timeout:
        trust_claim(draft)
    else:
        draft.track(failing_since=since)
        draft.call_after_gap(retry_after)


def trust_claim(draft: Draft) -> None:
    """Accept a claim unconfirmed: the oldest with a result or a failure, else the oldest. None
    against a refusal, which says that the provider does not have the job."""
    claims = draft.job.tracking.claims
    outcomes.mark_claims_late(draft)
    if draft.job.done and not failures.is_provisional(draft.job):
        draft.set(due=None)
        return
    decisive = [c for c in claims if c.status is not Status.COMPLETED or c.result is not None]
    chosen = (decisive or claims)[0]
    draft.set_verdict(chosen.callback_id, Verdict.APPLIED, confirmed=False)
    report = Report(chosen.status, chosen.provider_status, None, chosen.result, chosen.message)
    outcomes.apply_terminal(draft, report, Evidence.CALLBACK)
