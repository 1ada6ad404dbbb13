"""Callbacks applied in one change have the same result as those applied one after another."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.domain.answers import Report
from receiver.domain.lifecycle import decide
from receiver.domain.observations import CallbackSaid, CallbacksSaid
from receiver.domain.schedule import SECOND, Rules
from store.records.callbacks import Verdict
from store.records.jobs import Evidence, Job, Status
from store.records.moves import Move
from store.records.times import Lane, Millis
from tests.domain.jobs import (
    ID,
    OTHER_ID,
    RULES,
    START,
    STATES,
    Story,
    at_work,
    completed,
    failed,
    in_state,
)
from tests.domain.playing import Script, play, reports, rules, scripts

said = st.lists(
    st.tuples(reports, st.sampled_from([False, False, True]), st.integers(0, 30 * SECOND)),
    min_size=2,
    max_size=6,
)
"""What each says, whether another job holds the id that it names, and how long ago it came."""


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(sorted(STATES)), scripts, rules, said)
def test_the_result_does_not_depend_on_batching(
    start: str, script: Script, by: Rules, said: Sequence[tuple[Report, bool, Millis]]
) -> None:
    story, _ = play(start, script, by)
    before, now = story.job, story.now + SECOND
    callbacks = [
        CallbackSaid(10_000 + number, now - ago, words, taken)
        for number, (words, taken, ago) in enumerate(said)
    ]
    job, moves = one_by_one(before, callbacks, now, by)

    move = decide(before, CallbacksSaid(tuple(callbacks)), now, by)

    assert move is not None
    assert without_counts(move.job) == without_counts(job)
    assert list(move.verdicts) == [ruling for each in moves for ruling in each.verdicts]
    assert list(move.notes) == [note for each in moves for note in each.notes]
    # There may be fewer events, and never one more.
    assert (move.event is not None) <= any(each.event is not None for each in moves)
    assert move.job.seq - before.seq == (move.event is not None)
    assert finals([move]) == finals(moves)


def one_by_one(
    job: Job, callbacks: Sequence[CallbackSaid], now: Millis, by: Rules
) -> tuple[Job, list[Move]]:
    moves = []
    for callback in callbacks:
        move = decide(job, CallbacksSaid((callback,)), now, by)
        assert move is not None
        job = move.job
        moves.append(move)
    return job, moves


def without_counts(job: Job) -> Job:
    """The job without what only counts its events."""
    return replace(job, seq=0, updated_at=START)


def finals(moves: Sequence[Move]) -> list[tuple[Status, bool]]:
    return [
        (move.relay.status, move.relay.self_declared)
        for move in moves
        if move.relay is not None and move.relay.final
    ]


def observe_together(story: Story, *said: Report) -> Move:
    """The callbacks came right after each other, and are applied a second later."""
    callbacks = tuple(
        CallbackSaid(number, story.now + number, words)
        for number, words in enumerate(said, start=1)
    )
    move = story.observe(CallbacksSaid(callbacks))
    assert move is not None
    return move


def verdicts(move: Move) -> list[Verdict]:
    return [ruling.verdict for ruling in move.verdicts]


def test_a_flood_of_progress_is_one_event_and_one_message() -> None:
    story = in_state("accepted")
    seq = story.job.seq
    move = observe_together(story, *(at_work(progress) for progress in range(1, 99)))
    assert (move.job.seq, move.job.progress, move.job.status) == (seq + 1, 98, Status.IN_PROGRESS)
    assert verdicts(move) == [Verdict.APPLIED] * 98
    assert move.relay is not None
    assert move.relay.status is Status.IN_PROGRESS


def test_progress_and_claims_together_ask_for_confirmation_at_once() -> None:
    story = in_state("accepted")
    move = observe_together(story, at_work(20), completed(), at_work(30), failed())
    assert verdicts(move) == [Verdict.APPLIED, Verdict.CLAIMED, Verdict.APPLIED, Verdict.CLAIMED]
    assert move.job.progress == 30
    assert story.due() == story.job.due
    assert (story.due().lane, story.due().at) == (Lane.CONFIRM, story.now)


def test_without_confirmation_the_first_outcome_counts_and_the_rest_is_late() -> None:
    story = in_state("accepted", rules=replace(RULES, confirm_callbacks=False))
    move = observe_together(story, at_work(20), completed(), failed(), at_work(30))
    assert verdicts(move) == [Verdict.APPLIED, Verdict.APPLIED, Verdict.LATE, Verdict.LATE]
    assert (move.job.status, move.job.progress) == (Status.COMPLETED, 100)
    assert move.job.evidence is Evidence.CALLBACK
    assert finals([move]) == [(Status.COMPLETED, False)]


def test_the_first_id_is_the_job_s_and_another_beside_it_is_a_conflict() -> None:
    story = in_state("accepted without id")
    move = observe_together(
        story, at_work(1), at_work(2, names=ID), at_work(3, names=OTHER_ID), at_work(4, names=ID)
    )
    assert verdicts(move) == [Verdict.APPLIED, Verdict.APPLIED, Verdict.CONFLICT, Verdict.APPLIED]
    assert (move.job.provider_request_id, move.job.progress) == (ID, 4)
