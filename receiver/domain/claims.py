"""What callbacks say. A terminal one is unsigned: a claim, which a status call decides."""

from receiver.domain import announcements, schedule
from receiver.domain.draft import Draft, look_again, visible
from receiver.domain.observations import CallbackSaid, Report
from receiver.domain.outcomes import (
    apply_progress,
    apply_terminal,
    become_accepted,
    watch_for_correction,
)
from store.records import (
    FINAL_STATUSES,
    Claim,
    Due,
    Evidence,
    Job,
    Lane,
    Millis,
    Phase,
    Status,
    Verdict,
)

MAX_CLAIMS = 8
"""Claims that one job keeps undecided at once; a further one is in the history all the same."""


def hear_callback(draft: Draft, said: CallbackSaid) -> None:
    report = said.report
    if _names_another_job(draft.job, said):
        draft.rule(said.callback_id, Verdict.CONFLICT)
        if draft.job.due is not None and draft.job.due.lane is Lane.POLL:
            draft.set(due=Due(Lane.POLL, min(draft.job.due.at, draft.now)))
        return
    if draft.job.done and not announcements.is_self_declared(draft.job):
        draft.rule(said.callback_id, Verdict.LATE)
        return
    if draft.job.provider_request_id is None and report.provider_request_id is not None:
        draft.set(provider_request_id=report.provider_request_id)
        if draft.job.tracking.claims:
            # They waited without anybody to ask; now there is an id to ask for.
            look_again(draft, draft.now)
    if report.status in FINAL_STATUSES:
        _hear_claim(draft, said)
    elif draft.job.done:
        draft.rule(said.callback_id, Verdict.LATE)
        watch_for_correction(draft)
    else:
        draft.rule(said.callback_id, Verdict.APPLIED)
        before = draft.job
        _prove_acceptance(draft)
        apply_progress(draft, report, Evidence.CALLBACK)
        _postpone_poll(draft, before, said.received_at)


def _names_another_job(job: Job, said: CallbackSaid) -> bool:
    named = said.report.provider_request_id
    if named is None:
        return False
    return said.id_is_taken or job.provider_request_id not in (None, named)


def _prove_acceptance(draft: Draft) -> None:
    """A job's own callback proves that the provider has it, whatever became of the answer."""
    if not draft.job.done and draft.job.accepted_at is None:
        become_accepted(draft, Evidence.CALLBACK)


def _postpone_poll(draft: Draft, before: Job, received_at: Millis) -> None:
    """The provider's callbacks work, it seems: a poll can wait. One that fell due after this
    callback came stands: a conflict may have made it due at once."""
    job = draft.job
    if job.tracking.claims or job.due is None:
        return
    if job.due.lane is Lane.POLL and received_at <= job.due.at <= draft.now:
        return
    planned = job.due.at if job.due.lane is Lane.POLL else draft.now + draft.rules.poll_first
    # Past the deadline the provider's own answer is owed: a talkative callback does not delay it.
    overdue = draft.now >= schedule.deadline(job, draft.rules)
    gap = 0 if overdue else schedule.next_gap(job.tracking.poll_gap, draft.rules)
    look_again(draft, max(planned, draft.now + gap))
    if visible(before) != visible(job):
        draft.track(poll_gap=None)


def _hear_claim(draft: Draft, said: CallbackSaid) -> None:
    """A terminal word that anybody could have sent: a status call decides it, or it counts now."""
    report = said.report
    _prove_acceptance(draft)
    if not draft.rules.confirm_callbacks:
        draft.rule(said.callback_id, Verdict.APPLIED)
        apply_terminal(draft, report, Evidence.CALLBACK)
        return
    claims = draft.job.tracking.claims
    if len(claims) >= MAX_CLAIMS:
        draft.rule(said.callback_id, Verdict.LATE)
        return
    draft.rule(said.callback_id, Verdict.CLAIMED)
    assert report.status is not None
    result = None
    if report.result is not None and report.has_link:
        result = announcements.fitting_result(report.result)
    claim = Claim(
        said.callback_id, said.received_at, report.status, report.word, result, report.message
    )
    if not claims:
        draft.track(failing_since=None, poll_gap=None)
    draft.track(claims=(*claims, claim))
    if not draft.job.done:
        draft.set(phase=Phase.CONFIRMING)
    if not claims:
        look_again(draft, draft.now)


def fail_to_confirm(draft: Draft, retry_after: Millis | None) -> None:
    """No usable answer about a claim: ask again, and after CONFIRM_TIMEOUT believe it."""
    tracking = draft.job.tracking
    since = draft.now if tracking.failing_since is None else tracking.failing_since
    gap = schedule.next_gap(tracking.poll_gap, draft.rules)
    draft.track(failing_since=since, poll_gap=gap)
    believed_at = since + draft.rules.confirm_timeout
    if draft.now >= believed_at:
        take_claim(draft)
    else:
        look_again(draft, min(draft.now + max(gap, retry_after or 0), believed_at))


def take_claim(draft: Draft) -> None:
    """Take the oldest claim unconfirmed: one that is an outcome before one without a link."""
    claims = draft.job.tracking.claims
    outcomes = [c for c in claims if c.status is not Status.COMPLETED or c.result is not None]
    taken = (outcomes or claims)[0]
    for claim in claims:
        if claim is taken:
            draft.rule(claim.callback_id, Verdict.APPLIED, confirmed=False)
        else:
            draft.rule(claim.callback_id, Verdict.LATE)
    draft.track(claims=(), failing_since=None, poll_gap=None)
    report = Report(taken.status, taken.word, None, taken.result, taken.message, None)
    apply_terminal(draft, report, Evidence.CALLBACK)
