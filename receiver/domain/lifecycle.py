"""The state machine of a job, whole: `decide` says what an observation makes of it.

It is pure, and every change of every job goes through it, inside the write transaction. The rules
are contract 6's ("Rules that always hold"), 7's (claims) and 8's (polling); docs/architecture.md
tells them in prose, state by state.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import assert_never

from receiver.domain import announcements, claims, polls, submission
from receiver.domain.draft import Draft, let_inbox_go_first, visible
from receiver.domain.observations import (
    CallbackSaid,
    CancelRequested,
    LinkRenewed,
    Observation,
    Polled,
    RestoredFromBackup,
    SubmissionBegins,
    SubmissionHeld,
    SubmissionInterrupted,
    SubmitAccepted,
    SubmitAmbiguous,
    SubmitNotSent,
    SubmitRefused,
    TimePassed,
)
from receiver.domain.outcomes import finish, give_up, miss_deadline
from receiver.domain.schedule import Rules
from store.records import ErrorCode, Evidence, Job, JobError, Lane, Millis, Move, Phase, Status


def decide(job: Job, observation: Observation, now: Millis, rules: Rules) -> Move | None:
    """What the observation makes of the job: the whole change, or None where there is none.

    The move's event and relay message are made here, so nobody can change a job without them.
    """
    draft = Draft(job, now, rules)
    match observation:
        case SubmissionBegins():
            submission.begin(draft, observation)
        case SubmissionHeld():
            submission.hold(draft, observation.until)
        case SubmissionInterrupted():
            submission.become_unconfirmed(draft, observation.reason)
        case RestoredFromBackup():
            if job.phase is Phase.QUEUED:
                draft.set(phase=Phase.SUBMITTING)
            submission.become_unconfirmed(draft, "the database is a restored copy")
        case SubmitAccepted():
            submission.accept(draft, observation.provider_request_id)
        case SubmitRefused():
            submission.refuse(draft, observation)
        case SubmitNotSent():
            submission.requeue(draft, observation)
        case SubmitAmbiguous():
            submission.become_unconfirmed(draft, observation.reason)
        case CallbackSaid():
            claims.hear_callback(draft, observation)
        case Polled():
            polls.hear_poll(draft, observation)
        case TimePassed():
            _pass_time(draft)
        case CancelRequested():
            _cancel(draft)
        case LinkRenewed():
            _renew_link(draft, observation)
        case _:
            assert_never(observation)
    return _seal(job, draft)


def _seal(before: Job, draft: Draft) -> Move | None:
    """Turn a draft into a move: count and tell a visible change, drop one that changes nothing."""
    after = draft.job
    event = relay = None
    if visible(before) != visible(after):
        # The clock was read before the job was: another process may have been faster, or be ahead.
        now = max(draft.now, before.updated_at)
        after = replace(after, seq=before.seq + 1, updated_at=now)
        event = announcements.event_data(after)
        relay = announcements.relay_message(before, after, draft.rules.relay_first)
    if after == before and not draft.rulings and not draft.notes:
        return None
    refused = after.error is not None and after.error.code is ErrorCode.PROVIDER_CREDENTIALS
    return Move(
        after,
        event,
        relay,
        tuple(draft.rulings),
        tuple(draft.notes),
        frees_key=refused and not before.done,
    )


def _pass_time(draft: Draft) -> None:
    """A moment in a lane where nobody is asked. Early or twice, it changes nothing."""
    job = draft.job
    if job.due is None or job.due.lane not in (Lane.SUBMITTING, Lane.WAIT, Lane.SUBMIT):
        return
    if draft.now < job.due.at:
        return
    if job.callbacks_waiting:
        let_inbox_go_first(draft, job.due.lane)
    elif job.tracking.claims:
        claims.take_claim(draft)
    elif job.phase is Phase.SUBMITTING:
        submission.become_unconfirmed(draft, "its lease ended before an answer came")
    elif job.phase is Phase.SUBMIT_UNCONFIRMED:
        give_up(
            draft,
            ErrorCode.SUBMIT_OUTCOME_UNKNOWN,
            "No word came of whether the provider took the job.",
        )
    elif job.phase is Phase.QUEUED:
        submission.hold(draft, job.due.at)
    elif not job.done:
        # No id, nobody to ask: the deadline cannot wait for the provider's word.
        miss_deadline(draft)


def _cancel(draft: Draft) -> None:
    job = draft.job
    if job.done:
        return
    billed = job.maybe_sent or job.phase is Phase.SUBMITTING
    error = JobError(ErrorCode.CANCELED_BY_USER, "Canceled by its user.", billed)
    finish(draft, Status.CANCELLED, Evidence.USER, error, message=job.message)


def _renew_link(draft: Draft, renewed: LinkRenewed) -> None:
    if draft.job.status is Status.COMPLETED:
        draft.set(result=announcements.fitting_result(renewed.result), result_at=draft.now)


Decision = Callable[[Job], Move | None]


def deciding(observation: Observation, now: Millis, rules: Rules) -> Decision:
    """`decide` as the store calls it: everything but the job is given."""
    return lambda job: decide(job, observation, now, rules)
