"""What always holds for a job, in whatever order things happen, and with a clock that may step
back.

These are the rules of docs/guarantees.md and of the life of a job in docs/architecture.md.
"""

import json
from decimal import Decimal

from hypothesis import event, given, settings

from receiver.domain.answers import StatusReport, SubmitNotSent
from receiver.domain.callbacks import MAX_CLAIMS
from receiver.domain.failures import (
    PROVISIONAL_FAILURES,
    REFUSALS,
    can_be_corrected,
    is_awaited,
    is_provisional,
)
from receiver.domain.lifecycle import decide
from receiver.domain.observations import (
    CallbackReceived,
    DownloadEnded,
    LinkRenewed,
    StatusCallEnded,
    SubmissionBegins,
    SubmissionEnded,
    TimeoutReached,
)
from receiver.domain.schedule import Rules
from receiver.domain.serialization import job_document
from store.records.archive import FileState
from store.records.callbacks import Verdict
from store.records.costs import ZERO, CostState
from store.records.jobs import FINAL_STATUSES, Phase, Status
from store.records.times import Due, Lane
from tests.domain.jobs import COST
from tests.domain.strategies import Script, Step, play, rules, scripts, starts

ORDER = (Status.PENDING, Status.IN_PROGRESS)


def corrects(step: Step) -> bool:
    """Whether the step changed a final state."""
    before, after = step.before, step.after
    return before.done and (after.status, after.error) != (before.status, before.error)


def is_certainly_the_providers(step: Step) -> bool:
    """Whether an outcome is signed, confirmed by a status call, or of one whose callbacks need no
    confirmation."""
    match step.observation:
        case CallbackReceived(verified=verified):
            return verified or not step.rules.confirm_callbacks
        case StatusCallEnded(answer=StatusReport(report=report)):
            return report.status is step.after.status
        case _:
            return False


def rule_3_status_never_goes_back_and_only_a_declared_failure_is_corrected(step: Step) -> None:
    before, observation, after = step.before, step.observation, step.after
    if not before.done:
        assert after.done or ORDER.index(after.status) >= ORDER.index(before.status)
    elif corrects(step):
        assert before.error is not None
        if before.error.code in PROVISIONAL_FAILURES:
            assert isinstance(observation, StatusCallEnded | CallbackReceived | TimeoutReached)
        else:
            assert before.error.code in REFUSALS
            assert is_certainly_the_providers(step)
        assert not is_provisional(after), "only the provider's own outcome corrects"
    assert after.done == (after.status in FINAL_STATUSES) == (after.phase is Phase.FINISHED)


def rule_3_progress_never_falls_and_is_100_only_at_completed(step: Step) -> None:
    before, after = step.before, step.after
    progress = after.progress
    assert (progress == 100) == (after.status is Status.COMPLETED)
    assert progress is None or progress <= 99 or progress == 100
    assert (progress or 0) >= (before.progress or 0)


def rule_3_a_job_ends_at_its_last_change_whatever_the_clock(step: Step) -> None:
    """Otherwise a job that ends while the clock is set back is removed once it is right again."""
    before, after = step.before, step.after
    if after.done and (not before.done or corrects(step)):
        assert after.done_at == after.updated_at >= before.updated_at


def rule_3_what_comes_to_a_finished_job_changes_nothing_of_it(step: Step) -> None:
    before, observation, transition = step.before, step.observation, step.transition
    if not before.done or transition is None or is_provisional(before) or corrects(step):
        return
    assert transition.relay is None
    assert transition.event is None or isinstance(observation, DownloadEnded)
    shown, was = job_document(transition.job, "").items(), job_document(before, "").items()
    changed = {name for (name, now), (_, then) in zip(shown, was, strict=True) if now != then}
    match observation:
        case DownloadEnded():
            assert changed <= {"seq", "updated_at", "archive"}
        case LinkRenewed():
            assert changed <= {"result"}
        case CallbackReceived() if not before.cancel_wanted and not can_be_corrected(before):
            assert not changed
        case _:  # an acceptance brings the id, which a cancel may wait for
            assert changed <= {"provider_request_id"}


def rule_5_seq_counts_the_events_and_an_event_is_the_job(step: Step) -> None:
    """An event is one line of ASCII JSON: the job as it was at that event."""
    before, transition = step.before, step.transition
    if transition is None:
        return
    assert transition.job.seq - before.seq == (transition.event is not None)
    if transition.event is None:
        assert transition.relay is None, "one message for one event"
        return
    assert transition.event.isascii()
    assert len(transition.event.splitlines()) == 1
    assert json.loads(transition.event) == json.loads(json.dumps(job_document(transition.job, "")))
    shown = job_document(transition.job, "")
    assert transition.job.updated_at != before.updated_at or job_document(before, "") != shown


def rule_5_each_final_state_has_a_webhook(step: Step) -> None:
    before, transition = step.before, step.transition
    if transition is None or (transition.job.status, transition.job.error) == (
        before.status,
        before.error,
    ):
        return
    assert transition.relay is not None
    assert transition.relay.final == transition.job.done
    assert transition.relay.provisional == is_provisional(transition.job)
    body = json.loads(transition.relay.body)
    assert (body["status"], body["seq"]) == (transition.job.status, transition.job.seq)


def a_cost_changes_with_the_end_of_its_job_alone(step: Step) -> None:
    before, after, error = step.before.cost, step.after.cost, step.after.error
    assert after is not None
    assert before == after or (not step.before.done or corrects(step))
    if not step.after.done:
        assert (after.state, after.amount) == (CostState.RESERVED, COST.reserved)
    elif error is None:
        assert after.state is CostState.SETTLED
        assert after.amount in (COST.reserved, Decimal("0.3"))
    elif error.may_have_been_billed:
        assert (after.state, after.amount) == (CostState.UNKNOWN, COST.reserved)
    else:
        assert (after.state, after.amount) == (CostState.RELEASED, ZERO)
    if step.transition is not None:
        assert step.transition.cost == (after if after != before else None)


def rule_1_no_unfinished_job_is_ever_forgotten(step: Step) -> None:
    """There is always a stored time at which to look at the job next, in the lane that fits its
    state."""
    job = step.after
    claims = job.tracking.claims
    lane = job.due and job.due.lane
    if job.done:
        pending = any(file.state is FileState.PENDING for file in job.archive)
        assert (lane is Lane.ARCHIVE) == pending
        passes_on_cancel = job.cancel_wanted and lane is Lane.POLL
        assert lane is None or pending or is_awaited(job) or passes_on_cancel
        assert not claims or lane is not None, "no claim is forgotten"
        return
    match job.phase:
        case Phase.QUEUED if lane is Lane.SUBMIT:
            assert job.due == Due(lane, job.created_at), "the oldest goes first"
        case Phase.QUEUED:
            assert lane is Lane.WAIT
            assert job.attempts, "only an attempt is followed by a pause"
        case Phase.SUBMITTING:
            assert lane is Lane.SUBMITTING
        case Phase.SUBMIT_UNCONFIRMED:
            assert lane is Lane.WAIT
        case _ if job.provider_request_id is None:
            assert lane is Lane.WAIT
        case _ if claims:
            assert lane is Lane.CONFIRM
        case _:
            assert lane is Lane.POLL or (lane is Lane.CONFIRM and job.tracking.link_missing)
    assert not claims or job.phase is Phase.CONFIRMING
    assert len(claims) <= MAX_CLAIMS


def rule_2_only_an_attempt_that_surely_sent_nothing_is_repeated(step: Step) -> None:
    before, observation, after = step.before, step.observation, step.after
    if after.attempts != before.attempts:
        assert after.attempts == before.attempts + 1
        assert isinstance(observation, SubmissionBegins)
        assert before.phase is Phase.QUEUED
    if after.phase is Phase.QUEUED and before.phase is not Phase.QUEUED:
        assert before.phase is Phase.SUBMITTING
        assert isinstance(observation, SubmissionEnded)
        assert isinstance(observation.answer, SubmitNotSent)
        assert observation.begun.attempt == before.attempts
    if after.phase is Phase.SUBMITTING and before.phase is not Phase.SUBMITTING:
        assert isinstance(observation, SubmissionBegins)


def every_claim_gets_one_verdict_and_is_kept_until_then(step: Step) -> None:
    """A claim waits until it is confirmed, denied, trusted or too late."""
    before, observation, transition = step.before, step.observation, step.transition
    if transition is None:
        return
    was = {claim.callback_id for claim in before.tracking.claims}
    left = {claim.callback_id for claim in transition.job.tracking.claims}
    ruled = [r.callback_id for r in transition.verdicts if r.verdict is not Verdict.CLAIMED]
    new = [r.callback_id for r in transition.verdicts if r.verdict is Verdict.CLAIMED]
    assert sorted(ruled) == sorted(set(ruled))
    assert was - left <= set(ruled)
    assert left == (was - set(ruled)) | set(new)
    if isinstance(observation, CallbackReceived):
        assert observation.callback_id in {r.callback_id for r in transition.verdicts}


def rule_6_a_repeated_observation_changes_nothing(step: Step) -> None:
    """A worker that does not learn that its observation was stored reports it again."""
    if isinstance(step.observation, TimeoutReached) or step.transition is None:
        return
    again = decide(step.after, step.observation, step.now, step.rules)
    assert again is None or again.event is None
    if not isinstance(step.observation, CallbackReceived):  # it goes with the callback's row
        assert again is None or again.job == step.after


ALWAYS = (
    a_cost_changes_with_the_end_of_its_job_alone,
    rule_1_no_unfinished_job_is_ever_forgotten,
    rule_2_only_an_attempt_that_surely_sent_nothing_is_repeated,
    rule_3_status_never_goes_back_and_only_a_declared_failure_is_corrected,
    rule_3_progress_never_falls_and_is_100_only_at_completed,
    rule_3_a_job_ends_at_its_last_change_whatever_the_clock,
    rule_3_what_comes_to_a_finished_job_changes_nothing_of_it,
    rule_5_seq_counts_the_events_and_an_event_is_the_job,
    rule_5_each_final_state_has_a_webhook,
    rule_6_a_repeated_observation_changes_nothing,
    every_claim_gets_one_verdict_and_is_kept_until_then,
)


@settings(deadline=None, max_examples=250)
@given(start=starts, script=scripts, rules=rules)
def test_what_always_holds(start: str, script: Script, rules: Rules) -> None:
    """Each rule holds after each step, in whatever order things happen."""
    steps = play(start, script, rules)[1]
    for step in steps:
        for holds in ALWAYS:
            holds(step)
    corrections = sum(corrects(step) for step in steps)
    assert corrections <= 1, "a final state is replaced at most once"
    event(f"corrections: {corrections}")
