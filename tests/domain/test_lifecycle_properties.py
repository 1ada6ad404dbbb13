"""What holds whatever happens to a job, in any order and number, on a clock that may step back.

The rules are contract 6's "Rules that always hold", by number, and 7's and 8's.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import NamedTuple, TypeAlias

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from receiver.domain.announcements import SELF_DECLARED, is_self_declared, job_document
from receiver.domain.claims import MAX_CLAIMS
from receiver.domain.lifecycle import decide
from receiver.domain.observations import (
    CallbackSaid,
    CancelRequested,
    LinkRenewed,
    Observation,
    Polled,
    Report,
    RestoredFromBackup,
    StatusAnswer,
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
from receiver.domain.schedule import DAY, GRACE, HOUR, MINUTE, SECOND, Rules
from store.records import FINAL_STATUSES, ErrorCode, Job, Lane, Millis, Move, Phase, Status, Verdict
from tests.domain.jobs import (
    ID,
    LINK,
    OTHER_ID,
    STATES,
    Story,
    asking,
    at_work,
    completed,
    failed,
    in_state,
    report,
)

MIGRATION = Path(__file__).parents[2] / "store/sqlite/migrations/0001_initial.sql"
ORDER = (Status.PENDING, Status.IN_PROGRESS)

Act: TypeAlias = Callable[[Millis, int], Observation]
"""An observation of a moment; the number is the callback's."""


def said(words: Report, *, taken: bool = False) -> Act:
    return lambda now, n: CallbackSaid(n, now, words, taken)


def asked(answer: StatusAnswer, ago: Millis) -> Act:
    return lambda now, _: asking(now - ago, answer)


def plain(observation: Observation) -> Act:
    return lambda _now, _n: observation


names = st.sampled_from([None, ID, ID, OTHER_ID])
reports = st.builds(
    report,
    st.sampled_from([None, *Status]),
    word=st.sampled_from([None, "STITCHING", "A" * 100]),
    progress=st.sampled_from([None, 0.0, 20, 55.5, 99.9, 100]),
    result=st.sampled_from([None, {"videoUrl": LINK}, {"preview": "x"}]),
    message=st.sampled_from([None, "", "Line one\u2028line two", "m" * 9_000]),
    names=names,
)
patience = st.sampled_from([None, 0, 90 * SECOND, DAY])
answers: st.SearchStrategy[StatusAnswer] = st.one_of(
    st.builds(StatusReport, reports, patience),
    st.builds(StatusMissing, st.just("Request not found."), patience),
    st.builds(StatusUnavailable, st.just("timeout"), patience),
)
callbacks = st.builds(said, reports, taken=st.sampled_from([False, False, False, True]))
polls = st.builds(asked, answers, st.sampled_from([0, 100, 14 * SECOND]))
others: st.SearchStrategy[Act] = st.sampled_from(
    [
        lambda now, _: SubmissionBegins(now + 70 * SECOND),
        lambda now, _: SubmissionHeld(now + 40 * SECOND),
        *(
            plain(observation)
            for observation in (
                SubmissionInterrupted("killed"),
                RestoredFromBackup(),
                SubmitAccepted(ID),
                SubmitAccepted(OTHER_ID),
                SubmitAccepted(None),
                SubmitRefused(422, "No."),
                SubmitRefused(403, "Forbidden"),
                SubmitNotSent("refused", 5 * SECOND),
                SubmitAmbiguous("reset"),
                TimePassed(),
                CancelRequested(),
                LinkRenewed({"videoUrl": LINK + "?again"}),
            )
        ),
    ]
)
pauses = st.sampled_from(
    [0, 1, 900, 5 * SECOND, 45 * SECOND, 11 * MINUTE, 61 * MINUTE, 25 * HOUR, -1, -2 * HOUR]
)
acts = st.one_of(callbacks, polls, others)
starts = st.sampled_from([name for name in STATES if name != "queued"] + ["queued"] * 8)
rules = st.builds(
    Rules,
    confirm_callbacks=st.sampled_from([True, True, False]),
    unconfirmed_deadline=st.sampled_from([MINUTE, HOUR]),
    poll_max=st.sampled_from([MINUTE, 20 * MINUTE]),
)


class Step(NamedTuple):
    """One observation, and what became of the job."""

    before: Job
    observation: Observation
    move: Move | None
    after: Job
    now: Millis


Script: TypeAlias = list[tuple[Millis, Act, bool]]
"""Pauses, what is heard after them, and whether callbacks wait in the inbox meanwhile."""
scripts = st.lists(st.tuples(pauses, acts, st.sampled_from([False] * 4 + [True])), max_size=25)


def playing(test: Callable[..., None]) -> Callable[..., None]:
    """Run the test with whatever can happen. No example has a time limit: the machine is shared."""
    return settings(deadline=None, max_examples=200)(
        given(start=starts, script=scripts, by=rules)(test)
    )


def play(start: str, script: Script, by: Rules) -> tuple[Story, list[Step]]:
    story, steps = in_state(start, rules=by), []
    for n, (pause, act, waiting) in enumerate(script, start=100):
        before = story.job = replace(story.job, callbacks_waiting=waiting)
        observation = act(story.now + pause, n)
        move = story.hear(observation, pause)
        steps.append(Step(before, observation, move, story.job, story.now))
    story.job = replace(story.job, callbacks_waiting=False)
    return story, steps


@playing
def test_rule_3_status_never_goes_back_and_a_final_state_gives_way_once(
    start: str, script: Script, by: Rules
) -> None:
    corrections = 0
    for before, observation, _, after, _ in play(start, script, by)[1]:
        if not before.done:
            assert after.done or ORDER.index(after.status) >= ORDER.index(before.status)
        elif (after.status, after.error) != (before.status, before.error):
            assert before.error is not None
            assert before.error.code in SELF_DECLARED
            assert isinstance(observation, Polled | CallbackSaid | TimePassed)
            assert not is_self_declared(after), "only the provider's own word corrects"
            corrections += 1
        assert after.done == (after.status in FINAL_STATUSES) == (after.phase is Phase.FINISHED)
    assert corrections <= 1
    event(f"corrections: {corrections}")


@playing
def test_rule_3_progress_never_falls_and_is_100_only_at_completed(
    start: str, script: Script, by: Rules
) -> None:
    for before, _, _, after, _ in play(start, script, by)[1]:
        progress = after.progress
        assert (progress == 100) == (after.status is Status.COMPLETED)
        assert progress is None or progress <= 99 or progress == 100
        assert (progress or 0) >= (before.progress or 0)


@playing
def test_rule_3_what_comes_to_a_finished_job_changes_nothing_of_it(
    start: str, script: Script, by: Rules
) -> None:
    for before, observation, move, _, _ in play(start, script, by)[1]:
        if not before.done or is_self_declared(before) or move is None:
            continue
        assert move.event is None
        assert move.relay is None
        if isinstance(observation, CallbackSaid):
            assert [r.verdict for r in move.rulings] in ([Verdict.LATE], [Verdict.CONFLICT])
        shown, was = job_document(move.job), job_document(before)
        changed = {name for name in shown if shown[name] != was[name]}
        if isinstance(observation, LinkRenewed):
            assert changed <= {"result"}
        else:
            # Rule 8: an answer that comes after a cancel records the id and nothing else.
            assert changed <= {"provider_request_id"}
            assert not changed or isinstance(observation, SubmitAccepted)


@playing
def test_rule_5_seq_counts_the_events_and_an_event_is_the_job(
    start: str, script: Script, by: Rules
) -> None:
    """Contract 9: one line of ASCII JSON, the job as it stood at that event."""
    for before, _, move, _, _ in play(start, script, by)[1]:
        if move is None:
            continue
        assert move.job.seq - before.seq == (move.event is not None)
        if move.event is None:
            assert move.relay is None, "one message for one event"
            continue
        assert move.event.isascii()
        assert len(move.event.splitlines()) == 1
        assert json.loads(move.event) == json.loads(json.dumps(job_document(move.job)))
        assert move.job.updated_at != before.updated_at or job_document(before) != job_document(
            move.job
        )


@playing
def test_rule_5_a_user_who_asked_for_all_is_told_of_each_final_state(
    start: str, script: Script, by: Rules
) -> None:
    for before, _, move, _, _ in play(start, script, by)[1]:
        if move is None or (move.job.status, move.job.error) == (before.status, before.error):
            continue
        assert move.relay is not None
        assert move.relay.final == move.job.done
        assert move.relay.self_declared == is_self_declared(move.job)
        body = json.loads(move.relay.body)
        assert (body["status"], body["seq"]) == (move.job.status, move.job.seq)


@playing
def test_rule_1_no_unfinished_job_is_ever_forgotten(start: str, script: Script, by: Rules) -> None:
    """Contract 8: a durable moment to look at it next, in the lane that fits what is known."""
    for _, _, _, job, _ in play(start, script, by)[1]:
        claims = job.tracking.claims
        lane = job.due and job.due.lane
        if job.done:
            assert lane is None or is_self_declared(job)
            assert not claims or lane is not None, "no claim is forgotten"
            continue
        match job.phase:
            case Phase.QUEUED:
                assert lane is Lane.SUBMIT
            case Phase.SUBMITTING:
                assert lane is Lane.SUBMITTING
            case Phase.SUBMIT_UNCONFIRMED:
                assert lane is Lane.WAIT
            case _ if job.provider_request_id is None:
                assert lane is Lane.WAIT
            case _:
                assert lane is (Lane.CONFIRM if claims else Lane.POLL)
        assert not claims or job.phase is Phase.CONFIRMING
        assert len(claims) <= MAX_CLAIMS


@playing
def test_rule_2_only_an_attempt_that_surely_sent_nothing_is_repeated(
    start: str, script: Script, by: Rules
) -> None:
    for before, observation, _, after, _ in play(start, script, by)[1]:
        if after.attempts != before.attempts:
            assert after.attempts == before.attempts + 1
            assert isinstance(observation, SubmissionBegins)
            assert before.phase is Phase.QUEUED
            assert not before.callbacks_waiting, "its callback may prove that it was sent"
        if after.phase is Phase.QUEUED and before.phase is not Phase.QUEUED:
            assert before.phase is Phase.SUBMITTING
            assert isinstance(observation, SubmitNotSent)
        if after.phase is Phase.SUBMITTING and before.phase is not Phase.SUBMITTING:
            assert isinstance(observation, SubmissionBegins)


@playing
def test_every_claim_gets_one_verdict_and_is_kept_until_then(
    start: str, script: Script, by: Rules
) -> None:
    """Contract 7: a claim waits, and then it was confirmed, denied, believed or came too late."""
    for before, observation, move, _, _ in play(start, script, by)[1]:
        if move is None:
            continue
        was = {claim.callback_id for claim in before.tracking.claims}
        left = {claim.callback_id for claim in move.job.tracking.claims}
        ruled = [r.callback_id for r in move.rulings if r.verdict is not Verdict.CLAIMED]
        new = [r.callback_id for r in move.rulings if r.verdict is Verdict.CLAIMED]
        assert sorted(ruled) == sorted(set(ruled))
        assert was - left <= set(ruled)
        assert left == (was - set(ruled)) | set(new)
        if isinstance(observation, CallbackSaid):
            mine = [r for r in move.rulings if r.callback_id == observation.callback_id]
            assert len(mine) == 1


@playing
def test_a_denied_claim_was_received_before_the_call_or_contradicted_by_an_outcome(
    start: str, script: Script, by: Rules
) -> None:
    for before, observation, move, after, _ in play(start, script, by)[1]:
        if move is None or after.done:
            continue
        times = {c.callback_id: c.received_at for c in before.tracking.claims}
        for ruling in move.rulings:
            if ruling.verdict is Verdict.DENIED:
                assert isinstance(observation, Polled)
                assert times[ruling.callback_id] < observation.asked_at


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.executescript(MIGRATION.read_text())
    yield connection
    connection.close()


def _row(job: Job) -> dict[str, object]:
    error = job.error
    return {
        "id": job.id,
        "user_id": job.user_id,
        "provider": job.provider,
        "kind": job.kind,
        "status": job.status,
        "phase": job.phase,
        "seq": job.seq,
        "created_at": job.created_at,
        "updated_at": job.updated_at,
        "progress": job.progress,
        "provider_status": job.provider_status,
        "evidence": job.evidence,
        "message": job.message,
        "result": None if job.result is None else json.dumps(job.result),
        "error_code": error and error.code,
        "error_message": error and error.message,
        "error_billed": error and error.may_have_been_billed,
        "provider_request_id": job.provider_request_id,
        "id_from_answer": job.id_from_answer,
        "done_at": job.done_at,
        "accepted_at": job.accepted_at,
        "unconfirmed_at": job.unconfirmed_at,
        "result_at": job.result_at,
        "attempts": job.attempts,
        "maybe_sent": job.maybe_sent,
        "refused_with": job.refused_with,
    }


@playing
def test_the_database_accepts_every_job_that_the_machine_makes(
    database: sqlite3.Connection,
    start: str,
    script: Script,
    by: Rules,
) -> None:
    for _, _, move, job, _ in play(start, script, by)[1]:
        if move is not None:
            row = _row(job)
            columns, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
            database.execute(f"REPLACE INTO jobs ({columns}) VALUES ({marks})", row)
            if job.due is not None:
                database.execute(
                    "REPLACE INTO due (job_id, lane, at) VALUES (?, ?, ?)",
                    (job.id, job.due.lane, job.due.at),
                )


@playing
def test_the_same_again_tells_nobody_anything(start: str, script: Script, by: Rules) -> None:
    """Contract 6, rule 6: a repeated observation is no second event, whatever it was."""
    for _, observation, move, after, now in play(start, script, by)[1]:
        if isinstance(observation, TimePassed | SubmissionBegins | Polled) or move is None:
            # Time and answers are counted: five 404s are not one.
            continue
        again = decide(after, observation, now, by)
        assert again is None or again.event is None


OUTCOMES: list[Report] = [
    completed(names=ID),
    failed(names=ID),
    report(Status.CANCELLED, message="Stopped.", names=ID),
]


def _news(outcome: Report) -> list[Act]:
    """Everything that can be heard of a job with this outcome but its user's cancel, with ids that
    are right where there are any."""
    poll_link_later = report(Status.COMPLETED, names=ID)
    return [
        plain(SubmitAccepted(ID)),
        plain(SubmitAmbiguous("reset")),
        plain(TimePassed()),
        said(outcome),
        said(report(outcome.status, result=outcome.result, message=outcome.message)),
        said(at_work(20, names=ID)),
        said(report(Status.PENDING)),
        asked(StatusReport(outcome), 100),
        asked(StatusReport(at_work(70)), 100),
        asked(StatusReport(at_work(60)), 10 * SECOND),
        asked(StatusMissing("Request not found."), 100),
        asked(StatusUnavailable("timeout", 9 * SECOND), 100),
        asked(StatusReport(poll_link_later if outcome.has_link else at_work(99)), 100),
    ]


@settings(deadline=None)
@given(
    st.sampled_from(OUTCOMES),
    st.lists(st.tuples(st.sampled_from([0, 1, 3_000, 70_000, 3_000_000]), st.integers(0, 12))),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_rule_6_every_order_and_repetition_ends_in_the_providers_one_outcome(
    outcome: Report, extras: list[tuple[Millis, int]], chance: Random, confirm: bool
) -> None:
    news = _news(outcome)
    acts = [*[(1_000, n) for n in range(len(news))], *extras]
    chance.shuffle(acts)
    story = Story(rules=Rules(confirm_callbacks=confirm))
    story.begin()
    for n, (pause, which) in enumerate(acts, start=1):
        story.hear(news[which](story.now + pause, n), pause)
    live(story, lambda: StatusReport(outcome), until_settled=True)
    job = story.job
    assert job.status is outcome.status
    assert job.result == outcome.result
    assert outcome.message in (None, job.message)
    assert not is_self_declared(job)
    finals = [m.relay for m in story.moves if m.relay and m.relay.final]
    assert len([relay for relay in finals if not relay.self_declared]) == 1, "won once"
    assert len(finals) <= 2


def live(
    story: Story,
    answer: Callable[[], StatusAnswer],
    *,
    until_settled: bool = False,
    held: bool = False,
) -> None:
    """What workers do, and no more: wait until the job is due, and do what its lane says."""
    for _ in range(3_000):
        job = story.job
        if job.due is None or (job.done and not until_settled):
            return
        before, moment = job, story.now
        story.wait_until(job.due.at)
        match job.due.lane:
            case Lane.SUBMIT if held:
                story.hear(SubmissionHeld(story.now + HOUR), 0)
            case Lane.SUBMIT:
                story.begin()
            case Lane.SUBMITTING | Lane.WAIT:
                story.hear(TimePassed(), 0)
            case Lane.POLL | Lane.CONFIRM:
                story.hear(asking(story.now, answer()), 100)
        assert story.now > moment or story.job != before, "it turns on the spot"
    raise AssertionError("it never ends")


@settings(max_examples=40, deadline=None)
@given(starts, scripts, rules, st.booleans(), st.sampled_from([None, 60 * SECOND, DAY]))
def test_rule_7_without_any_answer_a_job_ends_within_a_day_of_its_deadline(
    start: str,
    script: Script,
    by: Rules,
    held: bool,
    patience: Millis | None,
) -> None:
    """Liveness: only time passes and each status call fails, asking for whatever patience."""
    forward = [(abs(pause), act, False) for pause, act, _ in script]
    story, _ = play(start, forward, by)
    taken_over_at = story.now
    live(story, lambda: StatusUnavailable("outage", patience), held=held)
    job = story.job
    assert job.done
    ends = [taken_over_at + by.confirm_timeout, story.deadline() + GRACE]
    if job.unconfirmed_at is not None:
        ends.append(job.unconfirmed_at + by.unconfirmed_deadline)
    assert job.done_at is not None
    assert job.done_at <= max(ends) + 5 * MINUTE
    live(story, lambda: StatusUnavailable("outage", patience), until_settled=True)
    assert story.job.due is None, "and the day after, nobody asks any more"


@settings(deadline=None)
@given(starts, scripts, rules, st.sampled_from(OUTCOMES))
def test_with_answers_every_job_that_can_be_asked_for_ends_as_the_provider_says(
    start: str, script: Script, by: Rules, outcome: Report
) -> None:
    """Contract 8: with every callback lost, each job still reaches its outcome."""
    story, _ = play(start, script, by)
    known = story.job.provider_request_id is not None
    watched = not story.job.done or (is_self_declared(story.job) and story.job.due is not None)
    live(story, lambda: StatusReport(outcome), until_settled=True)
    if known and watched:
        assert story.job.status is outcome.status
        assert story.job.result == outcome.result
        assert not is_self_declared(story.job)
    assert story.job.done


def test_the_machine_knows_four_self_declared_failures() -> None:
    """Contract 6, rule 3."""
    assert {
        ErrorCode.DEADLINE_EXCEEDED,
        ErrorCode.SUBMIT_OUTCOME_UNKNOWN,
        ErrorCode.RESULT_MISSING,
        ErrorCode.PROVIDER_JOB_LOST,
    } == SELF_DECLARED
