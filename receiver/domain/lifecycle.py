"""The state machine of a job, whole: `decide` says what an observation makes of it.

It is pure, and every change of every job goes through it, inside the write transaction. The rules
are contract 6's ("Rules that always hold"), 7's (claims) and 8's (polling); docs/architecture.md
tells them in prose, state by state.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, assert_never

from receiver.domain import announcements, schedule
from receiver.domain.observations import (
    CallbackSaid,
    CancelRequested,
    LinkRenewed,
    Observation,
    Polled,
    Report,
    RestoredFromBackup,
    StatusMissing,
    StatusReport,
    StatusUnavailable,
    SubmissionBegins,
    SubmissionHeld,
    SubmissionInterrupted,
    SubmitAccepted,
    SubmitAmbiguous,
    SubmitNotSent,
    SubmitRefused,
    TimePassed,
)
from receiver.domain.schedule import Rules
from store.records import (
    FINAL_STATUSES,
    Claim,
    Due,
    ErrorCode,
    Evidence,
    Job,
    JobError,
    Lane,
    Millis,
    Move,
    Note,
    Phase,
    Ruling,
    Status,
    Tracking,
    Verdict,
)

MAX_CLAIMS = 8
"""Claims that one job keeps undecided at once; a further one is in the history all the same."""


@dataclass(slots=True)
class _Draft:
    """A move in the making."""

    job: Job
    now: Millis
    rules: Rules
    rulings: list[Ruling]
    notes: list[Note]

    def set(self, **fields: Any) -> None:
        self.job = replace(self.job, **fields)

    def track(self, **fields: Any) -> None:
        self.set(tracking=replace(self.job.tracking, **fields))

    def rule(
        self,
        callback_id: int,
        verdict: Verdict,
        *,
        confirmed: bool | None = None,
        evidence: Evidence = Evidence.CALLBACK,
    ) -> None:
        self.rulings.append(Ruling(callback_id, verdict, confirmed, evidence))

    def note(self, type_: str, **detail: Any) -> None:
        self.notes.append(Note(type_, detail))


def decide(job: Job, observation: Observation, now: Millis, rules: Rules) -> Move | None:
    """What the observation makes of the job: the whole change, or None where there is none.

    The move's event and relay message are made here, so nobody can change a job without them.
    """
    draft = _Draft(job, now, rules, [], [])
    match observation:
        case SubmissionBegins():
            _begin_submission(draft, observation)
        case SubmissionHeld():
            _hold_submission(draft, observation.until)
        case SubmissionInterrupted():
            _become_unconfirmed(draft, observation.reason)
        case RestoredFromBackup():
            if job.phase is Phase.QUEUED:
                draft.set(phase=Phase.SUBMITTING)
            _become_unconfirmed(draft, "the database is a restored copy")
        case SubmitAccepted():
            _accept(draft, observation.provider_request_id)
        case SubmitRefused():
            _refuse(draft, observation)
        case SubmitNotSent():
            _requeue(draft, observation)
        case SubmitAmbiguous():
            _become_unconfirmed(draft, observation.reason)
        case CallbackSaid():
            _hear_callback(draft, observation)
        case Polled():
            _hear_poll(draft, observation)
        case TimePassed():
            _pass_time(draft)
        case CancelRequested():
            _cancel(draft)
        case LinkRenewed():
            _renew_link(draft, observation)
        case _:
            assert_never(observation)
    return _seal(job, draft)


def _seal(before: Job, draft: _Draft) -> Move | None:
    """Turn a draft into a move: count and tell a visible change, drop one that changes nothing."""
    after = draft.job
    event = relay = None
    if _visible(before) != _visible(after):
        after = replace(after, seq=before.seq + 1, updated_at=draft.now)
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


def _visible(job: Job) -> tuple[Any, ...]:
    """What a user sees change. A finished job's id and its renewed link are news to nobody."""
    shown = (job.status, job.phase, job.progress, job.message, job.error, job.provider_status)
    return shown if job.done else (*shown, job.provider_request_id)


# --- submission -----------------------------------------------------------------------------------


def _begin_submission(draft: _Draft, begins: SubmissionBegins) -> None:
    job = draft.job
    if job.phase is not Phase.QUEUED:
        return
    if job.callbacks_waiting:
        # Only a submission told the provider its address: an earlier attempt may have arrived.
        _let_inbox_go_first(draft, Lane.SUBMIT)
        return
    if draft.now >= schedule.deadline(job, draft.rules):
        _give_up_unsent(draft)
        return
    draft.set(
        phase=Phase.SUBMITTING,
        attempts=job.attempts + 1,
        due=Due(Lane.SUBMITTING, begins.lease_until),
    )


def _hold_submission(draft: _Draft, until: Millis) -> None:
    """Wait for the provider's Retry-After, though not past the deadline."""
    job = draft.job
    if job.phase is not Phase.QUEUED:
        return
    end = schedule.deadline(job, draft.rules)
    if draft.now >= end:
        _give_up_unsent(draft)
    else:
        planned = job.due.at if job.due else draft.now
        draft.set(due=Due(Lane.SUBMIT, min(max(until, planned), end)))


def _requeue(draft: _Draft, not_sent: SubmitNotSent) -> None:
    job = draft.job
    draft.note("submission", outcome="not_sent", reason=not_sent.reason)
    if job.phase is not Phase.SUBMITTING:
        return
    end = schedule.deadline(job, draft.rules)
    pause = max(schedule.submit_backoff(job), not_sent.retry_after or 0)
    draft.set(phase=Phase.QUEUED, due=Due(Lane.SUBMIT, min(draft.now + pause, end)))
    if draft.now >= end:
        _give_up_unsent(draft)


def _give_up_unsent(draft: _Draft) -> None:
    """The deadline of a job that was never taken, unless a callback on disk may prove otherwise."""
    if draft.job.callbacks_waiting:
        _let_inbox_go_first(draft, Lane.SUBMIT)
    else:
        _give_up(draft, ErrorCode.NOT_SUBMITTED, "The job could not be submitted in time.")


def _let_inbox_go_first(draft: _Draft, lane: Lane) -> None:
    draft.set(due=Due(lane, draft.now + schedule.INBOX_FIRST))


def _become_unconfirmed(draft: _Draft, reason: str) -> None:
    """It may be running: only the provider's word moves it on, and nothing sends it again."""
    if draft.job.phase is not Phase.SUBMITTING:
        # Its callback came first and proves more than this can say, or it is over.
        if draft.job.attempts:
            draft.note("submission", outcome="unknown", reason=reason)
        return
    draft.note("submission", outcome="unknown", reason=reason)
    draft.set(
        phase=Phase.SUBMIT_UNCONFIRMED,
        unconfirmed_at=draft.now,
        maybe_sent=True,
        evidence=Evidence.SUBMIT,
        due=Due(Lane.WAIT, draft.now + draft.rules.unconfirmed_deadline),
    )


def _refuse(draft: _Draft, refused: SubmitRefused) -> None:
    draft.note("submission", outcome="refused", status_code=refused.status_code)
    if draft.job.phase not in (Phase.SUBMITTING, Phase.SUBMIT_UNCONFIRMED):
        return
    draft.set(maybe_sent=False, refused_with=refused.status_code)
    code = ErrorCode.PROVIDER_CREDENTIALS if refused.by_credentials else ErrorCode.PROVIDER_REFUSED
    message = announcements.cut(refused.message, announcements.MESSAGE_CHARACTERS)
    _finish(draft, Status.FAILED, Evidence.SUBMIT, JobError(code, message, False), message=message)


def _accept(draft: _Draft, provider_request_id: str | None) -> None:
    """The submission's own answer: it outranks an id that a callback brought."""
    job = draft.job
    draft.note("submission", outcome="accepted", provider_request_id=provider_request_id)
    if job.done:
        if provider_request_id is not None and job.provider_request_id is None:
            draft.set(provider_request_id=provider_request_id, id_from_answer=True)
            _watch_for_correction(draft)
        return
    if provider_request_id is not None and not job.id_from_answer:
        draft.set(provider_request_id=provider_request_id, id_from_answer=True)
    if job.accepted_at is None:
        _become_accepted(draft, Evidence.SUBMIT)
    else:
        _look_again(draft, job.due.at if job.due and job.due.lane is Lane.POLL else draft.now)


def _become_accepted(draft: _Draft, evidence: Evidence) -> None:
    draft.set(phase=Phase.ACCEPTED, accepted_at=draft.now, evidence=evidence, maybe_sent=True)
    _look_again(draft, draft.now + draft.rules.poll_first)


# --- callbacks ------------------------------------------------------------------------------------


def _hear_callback(draft: _Draft, said: CallbackSaid) -> None:
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
            _look_again(draft, draft.now)
    if report.status in FINAL_STATUSES:
        _hear_claim(draft, said)
    elif draft.job.done:
        draft.rule(said.callback_id, Verdict.LATE)
        _watch_for_correction(draft)
    else:
        draft.rule(said.callback_id, Verdict.APPLIED)
        before = draft.job
        _prove_acceptance(draft)
        _apply_progress(draft, report, Evidence.CALLBACK)
        _postpone_poll(draft, before)


def _names_another_job(job: Job, said: CallbackSaid) -> bool:
    named = said.report.provider_request_id
    if named is None:
        return False
    return said.id_is_taken or job.provider_request_id not in (None, named)


def _prove_acceptance(draft: _Draft) -> None:
    """A job's own callback proves that the provider has it, whatever became of the answer."""
    if not draft.job.done and draft.job.accepted_at is None:
        _become_accepted(draft, Evidence.CALLBACK)


def _postpone_poll(draft: _Draft, before: Job) -> None:
    job = draft.job
    if job.tracking.claims or job.due is None:
        return
    planned = job.due.at if job.due.lane is Lane.POLL else draft.now + draft.rules.poll_first
    # Past the deadline the provider's own answer is owed: a talkative callback does not delay it.
    overdue = draft.now >= schedule.deadline(job, draft.rules)
    gap = 0 if overdue else schedule.next_gap(job.tracking.poll_gap, draft.rules)
    _look_again(draft, max(planned, draft.now + gap))
    if _visible(before) != _visible(job):
        draft.track(poll_gap=None)


def _hear_claim(draft: _Draft, said: CallbackSaid) -> None:
    """A terminal word that anybody could have sent: a status call decides it, or it counts now."""
    report = said.report
    _prove_acceptance(draft)
    if not draft.rules.confirm_callbacks:
        draft.rule(said.callback_id, Verdict.APPLIED)
        _apply_terminal(draft, report, Evidence.CALLBACK)
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
        _look_again(draft, draft.now)


# --- polls ----------------------------------------------------------------------------------------


def _hear_poll(draft: _Draft, polled: Polled) -> None:
    job = draft.job
    if job.provider_request_id is None or (job.done and not announcements.is_self_declared(job)):
        return
    draft.track(polls=job.tracking.polls + 1)
    answer = polled.answer
    match answer:
        case StatusReport(report):
            draft.track(misses=0, missed_since=None)
            if report.status not in FINAL_STATUSES:
                _hear_unfinished(draft, report, polled.asked_at)
            elif report.status is Status.COMPLETED and not report.has_link:
                _hear_linkless(draft, report, polled.asked_at)
            else:
                _hear_outcome(draft, report)
        case StatusMissing():
            draft.track(
                misses=job.tracking.misses + 1,
                missed_since=draft.now
                if job.tracking.missed_since is None
                else job.tracking.missed_since,
            )
            if job.tracking.claims:
                _fail_to_confirm(draft, None)
            elif not job.done and _is_lost(draft.job.tracking, draft.now):
                _give_up(
                    draft, ErrorCode.PROVIDER_JOB_LOST, "The provider no longer knows the job."
                )
            else:
                _stay(draft, polled.asked_at, None)
        case StatusUnavailable():
            if job.tracking.claims:
                _fail_to_confirm(draft, answer.retry_after)
            else:
                _stay(draft, polled.asked_at - schedule.GRACE, answer.retry_after)
        case _:
            assert_never(answer)


def _hear_unfinished(draft: _Draft, report: Report, asked_at: Millis) -> None:
    """The provider still works on it: earlier claims are denied, and a passed deadline fires."""
    before = draft.job
    denied = [c for c in before.tracking.claims if c.received_at < asked_at]
    for claim in denied:
        draft.rule(claim.callback_id, Verdict.DENIED, evidence=Evidence.POLL)
    # A claim of the future was received before the clock stepped back: the next answer decides it.
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
        _watch_for_correction(draft)
        return
    if not left and before.phase is Phase.CONFIRMING:
        rendering = before.status is Status.IN_PROGRESS
        draft.set(phase=Phase.RENDERING if rendering else Phase.ACCEPTED, evidence=Evidence.POLL)
    _apply_progress(draft, report, Evidence.POLL)
    if left:
        _look_again(draft, draft.now)
        return
    if _visible(before) != _visible(draft.job):
        draft.note("poll", provider_status=report.word, status=draft.job.status)
        draft.track(poll_gap=None)
    _stay(draft, asked_at, None)


def _hear_linkless(draft: _Draft, report: Report, asked_at: Millis) -> None:
    """COMPLETED without a link is no outcome yet; while a claim waits it decides nothing."""
    if draft.job.tracking.claims:
        _fail_to_confirm(draft, None)
        return
    if not draft.job.done:
        if not draft.job.tracking.link_missing:
            draft.note("poll", provider_status=report.word, link_missing=True)
            draft.track(poll_gap=None)
        _wait_for_link(draft, report, Evidence.POLL)
    _stay(draft, asked_at, None)


def _hear_outcome(draft: _Draft, report: Report) -> None:
    agreeing = [c for c in draft.job.tracking.claims if c.status is report.status]
    draft.note("poll", provider_status=report.word, status=report.status)
    for claim in draft.job.tracking.claims:
        if claim in agreeing:
            draft.rule(claim.callback_id, Verdict.CONFIRMED, confirmed=True, evidence=Evidence.POLL)
        else:
            draft.rule(claim.callback_id, Verdict.DENIED, evidence=Evidence.POLL)
    draft.track(claims=())
    _apply_terminal(draft, report, Evidence.CALLBACK if agreeing else Evidence.POLL)


def _fail_to_confirm(draft: _Draft, retry_after: Millis | None) -> None:
    """No usable answer about a claim: ask again, and after CONFIRM_TIMEOUT believe it."""
    tracking = draft.job.tracking
    since = draft.now if tracking.failing_since is None else tracking.failing_since
    gap = schedule.next_gap(tracking.poll_gap, draft.rules)
    draft.track(failing_since=since, poll_gap=gap)
    believed_at = since + draft.rules.confirm_timeout
    if draft.now >= believed_at:
        _take_claim(draft)
    else:
        _look_again(draft, min(draft.now + max(gap, retry_after or 0), believed_at))


def _take_claim(draft: _Draft) -> None:
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
    _apply_terminal(draft, report, Evidence.CALLBACK)


def _is_lost(tracking: Tracking, now: Millis) -> bool:
    return (
        tracking.misses >= schedule.MISSES_TO_LOSE
        and tracking.missed_since is not None
        and now - tracking.missed_since >= schedule.MISSING_TO_LOSE
    )


def _stay(draft: _Draft, counts_from: Millis, retry_after: Millis | None) -> None:
    """Nothing final came: the deadline fires where `counts_from` reaches it, else poll again."""
    job = draft.job
    if job.done:
        _watch_for_correction(draft, retry_after)
        return
    if counts_from >= schedule.deadline(job, draft.rules) and not job.callbacks_waiting:
        _miss_deadline(draft)
        return
    gap = schedule.next_gap(job.tracking.poll_gap, draft.rules)
    draft.track(poll_gap=gap)
    _look_again(draft, draft.now + max(schedule.jittered(job, gap, draft.rules), retry_after or 0))


# --- time and the user ----------------------------------------------------------------------------


def _pass_time(draft: _Draft) -> None:
    """A moment in a lane where nobody is asked. Early or twice, it changes nothing."""
    job = draft.job
    if job.due is None or job.due.lane not in (Lane.SUBMITTING, Lane.WAIT, Lane.SUBMIT):
        return
    if draft.now < job.due.at:
        return
    if job.callbacks_waiting:
        _let_inbox_go_first(draft, job.due.lane)
    elif job.tracking.claims:
        _take_claim(draft)
    elif job.phase is Phase.SUBMITTING:
        _become_unconfirmed(draft, "its lease ended before an answer came")
    elif job.phase is Phase.SUBMIT_UNCONFIRMED:
        _give_up(
            draft,
            ErrorCode.SUBMIT_OUTCOME_UNKNOWN,
            "No word came of whether the provider took the job.",
        )
    elif job.phase is Phase.QUEUED:
        _hold_submission(draft, job.due.at)
    elif not job.done:
        # No id, nobody to ask: the deadline cannot wait for the provider's word.
        _miss_deadline(draft)


def _cancel(draft: _Draft) -> None:
    job = draft.job
    if job.done:
        return
    billed = job.maybe_sent or job.phase is Phase.SUBMITTING
    error = JobError(ErrorCode.CANCELED_BY_USER, "Canceled by its user.", billed)
    _finish(draft, Status.CANCELLED, Evidence.USER, error, message=job.message)


def _renew_link(draft: _Draft, renewed: LinkRenewed) -> None:
    if draft.job.status is Status.COMPLETED:
        draft.set(result=announcements.fitting_result(renewed.result), result_at=draft.now)


# --- what they share ------------------------------------------------------------------------------


def _apply_progress(draft: _Draft, report: Report, evidence: Evidence) -> None:
    """A word that is not final: status and progress only ever grow."""
    before = draft.job
    if report.status is Status.IN_PROGRESS and before.status is Status.PENDING:
        confirming = before.phase is Phase.CONFIRMING
        draft.set(status=Status.IN_PROGRESS, phase=before.phase if confirming else Phase.RENDERING)
    if report.progress is not None:
        draft.set(progress=max(min(report.progress, 99.0), before.progress or 0.0))
    if report.word is not None:
        draft.set(provider_status=report.word[: announcements.PROVIDER_STATUS_CHARACTERS])
    if report.message is not None:
        draft.set(message=announcements.cut(report.message, announcements.MESSAGE_CHARACTERS))
    if _visible(draft.job) != _visible(before):
        draft.set(evidence=evidence)


def _apply_terminal(draft: _Draft, report: Report, evidence: Evidence) -> None:
    """A final word that counts. On a failure that we declared it is the one correction."""
    if report.status is Status.COMPLETED and not report.has_link:
        if draft.job.done:
            _watch_for_correction(draft)
        else:
            _wait_for_link(draft, report, evidence)
            _stay(draft, 0, None)
        return
    message = report.message and announcements.cut(report.message, announcements.MESSAGE_CHARACTERS)
    if report.word is not None:
        draft.set(provider_status=report.word[: announcements.PROVIDER_STATUS_CHARACTERS])
    if report.status is Status.COMPLETED:
        assert report.result is not None
        draft.set(
            result=announcements.fitting_result(report.result),
            result_at=draft.now,
            progress=100.0,
        )
        _finish(draft, Status.COMPLETED, evidence, None, message=message)
    elif report.status is Status.FAILED:
        text = message or "The provider reported a failure and gave no reason."
        error = JobError(ErrorCode.PROVIDER_FAILED, text, True)
        _finish(draft, Status.FAILED, evidence, error, message=text)
    else:
        text = message or "Canceled by the provider."
        error = JobError(ErrorCode.CANCELED_BY_PROVIDER, text, True)
        _finish(draft, Status.CANCELLED, evidence, error, message=text)


def _wait_for_link(draft: _Draft, report: Report, evidence: Evidence) -> None:
    """The provider is done, and the link comes at a later status call."""
    draft.track(link_missing=True, claims=())
    draft.set(phase=Phase.CONFIRMING, evidence=evidence)
    if report.word is not None:
        draft.set(provider_status=report.word[: announcements.PROVIDER_STATUS_CHARACTERS])


def _miss_deadline(draft: _Draft) -> None:
    if draft.job.tracking.link_missing:
        _give_up(
            draft,
            ErrorCode.RESULT_MISSING,
            "The provider reported completion and never gave a result.",
        )
    else:
        _give_up(draft, ErrorCode.DEADLINE_EXCEEDED, "The job did not end before its deadline.")


def _give_up(draft: _Draft, code: ErrorCode, message: str) -> None:
    """Fail the job by our own word."""
    lost = code is ErrorCode.PROVIDER_JOB_LOST
    error = JobError(code, message, draft.job.maybe_sent)
    gap = draft.job.tracking.poll_gap
    _finish(
        draft,
        Status.FAILED,
        Evidence.POLL if lost else Evidence.DEADLINE,
        error,
        message=message,
    )
    draft.track(poll_gap=gap)
    _watch_for_correction(draft)


def _finish(
    draft: _Draft,
    status: Status,
    evidence: Evidence,
    error: JobError | None,
    *,
    message: str | None,
) -> None:
    for claim in draft.job.tracking.claims:
        draft.rule(claim.callback_id, Verdict.LATE)
    draft.set(
        status=status,
        phase=Phase.FINISHED,
        evidence=evidence,
        error=error,
        message=message,
        done_at=draft.now,
        due=None,
        tracking=Tracking(polls=draft.job.tracking.polls),
    )


def _watch_for_correction(draft: _Draft, retry_after: Millis | None = None) -> None:
    """Keep asking about a failure that we declared, ever more rarely, for a day."""
    job = draft.job
    if not announcements.is_self_declared(job) or job.done_at is None:
        return
    if job.tracking.claims:
        _look_again(draft, draft.now)
        return
    gap = schedule.next_late_gap(job.tracking.poll_gap, draft.rules)
    at = draft.now + max(schedule.jittered(job, gap, draft.rules), retry_after or 0)
    if job.provider_request_id is None or at > job.done_at + schedule.GRACE:
        draft.set(due=None)
    else:
        draft.track(poll_gap=gap)
        draft.set(due=Due(Lane.POLL, at))


def _look_again(draft: _Draft, at: Millis) -> None:
    draft.set(due=schedule.next_look(draft.job, at, draft.now, draft.rules))


Decision = Callable[[Job], Move | None]


def deciding(observation: Observation, now: Millis, rules: Rules) -> Decision:
    """`decide` as the store calls it: everything but the job is given."""
    return lambda job: decide(job, observation, now, rules)
