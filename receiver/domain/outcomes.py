"""Applies statuses and deadlines to a job: progress, outcome, correction. Shared by callbacks,
polls and timeouts."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from receiver.domain import archive
from receiver.domain.answers import Report
from receiver.domain.draft import Draft
from receiver.domain.failures import PROVISIONAL_FAILURES
from receiver.domain.prices import measured_amount
from store.records.callbacks import Verdict
from store.records.costs import ZERO, Cost, CostState
from store.records.jobs import ErrorCode, Evidence, JobError, Phase, Status, Tracking
from store.records.times import Due, Lane, Millis

_WITHOUT_RESULT: Final = {
    Status.FAILED: (
        ErrorCode.PROVIDER_FAILED,
        "The provider reported a failure and gave no reason.",
    ),
    Status.CANCELLED: (ErrorCode.CANCELED_BY_PROVIDER, "Cancelled by the provider."),
}
"""By the provider's status: the error code, and the message if the provider gave none."""


def mark_accepted(draft: Draft, evidence: Evidence) -> None:
    """Mark the job as accepted by the provider, and schedule its first poll."""
    draft.set(phase=Phase.ACCEPTED, accepted_at=draft.now, evidence=evidence, maybe_sent=True)
    draft.call_at(draft.now + draft.rules.poll_first)


def apply_progress(draft: Draft, report: Report, evidence: Evidence) -> None:
    """Apply a status that is not final: status and progress never go back."""
    _keep_details(draft, report)
    before = draft.job
    news: dict[str, Any] = {}
    if report.status is Status.IN_PROGRESS and before.status is Status.PENDING:
        news["status"] = Status.IN_PROGRESS
        draft.set(details={**(before.details or {}), "in_progress_at": draft.now})
        if before.phase is not Phase.CONFIRMING:
            news["phase"] = Phase.RENDERING
    if report.progress is not None:
        news["progress"] = max(min(report.progress, 99.0), before.progress or 0.0)
    if report.provider_status is not None:
        news["provider_status"] = report.provider_status
    if report.message is not None:
        news["message"] = report.message
    if any(value != getattr(before, name) for name, value in news.items()):
        draft.set(**news, evidence=evidence)


def apply_terminal(draft: Draft, report: Report, evidence: Evidence) -> None:
    """Apply a final status, which may correct a failure. COMPLETED without a result is no outcome
    yet: status calls go on."""
    _keep_details(draft, report)
    if report.lacks_result:
        mark_link_missing(draft, report, evidence)
        draft.call_after_gap()
        return
    if report.result_is_gone:
        _lose_result(draft, report, evidence)
        return
    _show_provider_status(draft, report)
    if report.status is Status.COMPLETED:
        assert report.result is not None
        result = draft.truncate(report.result)
        draft.set(result=result, result_at=draft.now, progress=100.0)
        finish(draft, Status.COMPLETED, evidence, None, report.measured, message=report.message)
        archive.begin(draft, report.result)
        return
    assert report.status is not None
    code, no_message = _WITHOUT_RESULT[report.status]
    message = report.message or no_message
    finish(draft, report.status, evidence, JobError(code, message, True), message=message)


def _lose_result(draft: Draft, report: Report, evidence: Evidence) -> None:
    """Fail a job that the provider has completed, but whose result it has removed since. An earlier
    failure stays. The job is not polled any more."""
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


def mark_link_missing(draft: Draft, report: Report, evidence: Evidence) -> None:
    """Mark a job as completed by the provider, but without a result: a later status call returns
    that. The caller schedules the call."""
    mark_claims_late(draft)
    draft.track(link_missing=True, completed_at=draft.now)
    if not draft.job.done:
        draft.set(phase=Phase.CONFIRMING, evidence=evidence)
        _show_provider_status(draft, report)


def _keep_details(draft: Draft, report: Report) -> None:
    if report.details:
        draft.set(details={**(draft.job.details or {}), **report.details})


def _show_provider_status(draft: Draft, report: Report) -> None:
    if report.provider_status is not None:
        draft.set(provider_status=report.provider_status)


def miss_deadline(draft: Draft, retry_after: Millis | None = None) -> None:
    """Fail the job at its deadline."""
    pending = draft.job.tracking.link_missing
    code = ErrorCode.RESULT_MISSING if pending else ErrorCode.DEADLINE_EXCEEDED
    give_up(draft, code, retry_after)


def give_up(
    draft: Draft,
    code: ErrorCode,
    retry_after: Millis | None = None,
    *,
    evidence: Evidence = Evidence.DEADLINE,
    message: str | None = None,
) -> None:
    """Declare the job failed, and go on asking for its outcome. `retry_after` comes from the answer
    that led to this."""
    message = message or PROVISIONAL_FAILURES[code]
    error = JobError(code, message, draft.job.maybe_sent)
    kept = draft.job.tracking
    finish(draft, Status.FAILED, evidence, error, message=message)
    draft.track(poll_gap=kept.poll_gap, link_missing=kept.link_missing)
    draft.call_after_gap(retry_after)


def finish(
    draft: Draft,
    status: Status,
    evidence: Evidence,
    error: JobError | None,
    measured: Mapping[str, Decimal] = MappingProxyType({}),
    *,
    message: str | None,
) -> None:
    """End the job, or correct its end; its cost is settled anew."""
    mark_claims_late(draft)
    draft.set(
        cost=draft.job.cost and _settled(draft.job.cost, error, measured),
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


def _settled(cost: Cost, error: JobError | None, measured: Mapping[str, Decimal]) -> Cost:
    """The cost of a job that has ended: with its result if there is no `error`."""
    if error is None:
        amount = measured_amount(cost.rates, measured)
        return replace(
            cost, state=CostState.SETTLED, amount=cost.reserved if amount is None else amount
        )
    if error.may_have_been_billed:
        return replace(cost, state=CostState.UNKNOWN, amount=cost.reserved)
    return replace(cost, state=CostState.RELEASED, amount=ZERO)


def mark_claims_late(draft: Draft) -> None:
    """Give undecided claims the verdict LATE: something else has decided the job, or has shown that
    it is COMPLETED."""
    for claim in draft.job.tracking.claims:
        draft.set_verdict(claim.callback_id, Verdict.LATE)
    draft.track(claims=(), failing_since=None)
