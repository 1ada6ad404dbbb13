"""The state machine of a job: `decide` turns an observation into a change.

It is pure, and every change of a job that its user sees goes through it, inside the write
transaction. (The store itself leases jobs, makes their polls due, and sets `webhook_off`.)
docs/architecture.md describes the states and rules.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import assert_never

from receiver.domain import archive, callbacks, outcomes, polls, serialization, submission
from receiver.domain import observations as observed
from receiver.domain.draft import Draft, visible
from receiver.domain.schedule import Rules
from store.records.jobs import ErrorCode, Evidence, Job, JobError, Phase, Status
from store.records.times import Lane, Millis
from store.records.transitions import Decide, Transition


def decide(
    job: Job, observation: observed.Observation, now: Millis, rules: Rules
) -> Transition | None:
    """The change that the observation makes to the job, or None if it changes nothing.

    The transition's event and relay message are created here, so no change can lack them.
    """
    draft = Draft(job, now, rules.of(job.provider))
    match observation:
        case observed.SubmissionBegins():
            submission.begin(draft, observation)
        case observed.SubmissionLost():
            submission.mark_outcome_unknown(draft, observation.reason)
        case observed.SubmissionEnded():
            submission.apply_answer(draft, observation)
        case observed.CallbackReceived():
            callbacks.apply_callback(draft, observation)
        case observed.StatusCallEnded():
            polls.apply_poll(draft, observation)
        case observed.TimeoutReached():
            _pass_time(draft)
        case observed.CancelRequested():
            _cancel(draft, observation)
        case observed.CancelAnswer():
            _end_cancel(draft, observation)
        case observed.LinkRenewed():
            _renew_link(draft, observation)
        case observed.DownloadEnded():
            archive.apply_download(draft, observation)
        case _:
            assert_never(observation)
    return _seal(job, draft)


def _seal(before: Job, draft: Draft) -> Transition | None:
    """Turn a draft into a transition, with an event (and webhook) if users can see the change; None
    if nothing changed."""
    after = draft.job
    event = relay = None
    is_news = visible(before) != visible(after)
    if is_news or (archive.is_settled(after) and not archive.is_settled(before)):
        # `now` may be older than the row: another process may have changed the job since, or its
        # clock may be ahead.
        now = max(draft.now, before.updated_at)
        after = after.changed(seq=before.seq + 1, updated_at=now)
        document = serialization.job_document(after, draft.rules.root)
        event = serialization.compact_json(document)
        if is_news:
            relay = serialization.relay_message(before, after, document, draft.now, draft.rules)
    if after == before and not draft.verdicts and not draft.notes:
        return None
    refused = after.error is not None and after.error.code is ErrorCode.PROVIDER_CREDENTIALS
    return Transition(
        after,
        event,
        relay,
        tuple(draft.verdicts.values()),
        tuple(draft.notes),
        whole_result=draft.whole_result,
        cost=after.cost if after.cost != before.cost else None,
        drops_large_input=_was_never_accepted(after) and not before.done,
        releases_idempotency_key=refused and not before.done,
        ends_job=is_news and after.done,
        frees_place=(
            before.in_flight
            and not after.in_flight
            and after.provider in draft.rules.jobs_in_flight
        ),
    )


def _was_never_accepted(job: Job) -> bool:
    """Whether the job has ended without being accepted, for certain."""
    return job.error is not None and not job.error.may_have_been_billed


def _pass_time(draft: Draft) -> None:
    """Apply a timeout that needs no status call. If it comes early or twice, nothing changes."""
    job = draft.job
    if job.due is None or draft.now < job.due.at:
        return
    if job.due.lane in (Lane.CONFIRM, Lane.POLL) and job.provider_request_id is not None:
        return
    if job.due.lane is Lane.ARCHIVE and not job.archive and job.result is not None:
        # Release 1.0.0 finds the files of a truncated result later.
        archive.begin(draft, job.result)
    elif job.tracking.claims:
        callbacks.trust_claim(draft)
    elif job.phase is Phase.SUBMITTING:
        submission.mark_unconfirmed(draft, "its lease expired before an answer came")
    elif job.phase is Phase.SUBMIT_UNCONFIRMED:
        submission.give_up_unconfirmed(draft)
    elif job.phase is Phase.QUEUED:
        submission.wait_for_turn(draft)
    elif not job.done:
        # Without a provider id there is no status call: the deadline applies at once.
        outcomes.miss_deadline(draft)


def _cancel(draft: Draft, requested: observed.CancelRequested) -> None:
    job = draft.job
    if job.done:
        return
    billed = job.maybe_sent or job.phase is Phase.SUBMITTING
    error = JobError(ErrorCode.CANCELED_BY_USER, "Cancelled by its user.", billed)
    outcomes.finish(draft, Status.CANCELLED, Evidence.USER, error, message=job.message)
    if billed and job.provider in requested.can_cancel:
        draft.set(cancel_wanted=True)
        outcomes.pass_on_cancel(draft)


def _end_cancel(draft: Draft, passed_on: observed.CancelAnswer) -> None:
    """Record the answer to a cancel request. It is sent only once, whatever the answer."""
    if not draft.job.cancel_wanted:
        return
    said = {name: value for name, value in asdict(passed_on).items() if value is not None}
    draft.note("provider_cancel", **said)
    draft.set(cancel_wanted=False, due=None)


def _renew_link(draft: Draft, renewed: observed.LinkRenewed) -> None:
    if draft.job.status is Status.COMPLETED:
        draft.set(result=draft.truncate(renewed.result), result_at=draft.now)


def decider(observation: observed.Observation, now: Callable[[], Millis], rules: Rules) -> Decide:
    """Bind all arguments of `decide` except the job.

    The clock is read when the store calls the function: that may be much later, and `now` must not
    be older than what was stored until then.
    """
    return lambda job: decide(job, observation, now(), rules)
