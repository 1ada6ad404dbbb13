"""Callbacks applied in one change have the same result as those applied one after another."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.domain.answers import Report
from receiver.domain.lifecycle import decide
from receiver.domain.observations import CallbackBatch, ParsedCallback
from receiver.domain.schedule import SECOND, Rules
from store.records.jobs import Job, Status
from store.records.moves import Move
from store.records.times import Millis
from tests.domain.jobs import START, STATES
from tests.domain.strategies import Script, play, reports, rules, scripts

received = st.lists(
    st.tuples(reports, st.sampled_from([False, False, True]), st.integers(0, 30 * SECOND)),
    min_size=2,
    max_size=6,
)
"""Each callback: its report, whether another job has the id that it names, and how long ago it
arrived."""


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(sorted(STATES)), scripts, rules, received)
def test_the_result_does_not_depend_on_batching(
    start: str, script: Script, rules: Rules, received: Sequence[tuple[Report, bool, Millis]]
) -> None:
    story, _ = play(start, script, rules)
    before, now = story.job, story.now + SECOND
    callbacks = [
        ParsedCallback(10_000 + number, now - ago, report, taken)
        for number, (report, taken, ago) in enumerate(received)
    ]
    job, moves = one_by_one(before, callbacks, now, rules)

    move = decide(before, CallbackBatch(tuple(callbacks)), now, rules)

    assert move is not None
    assert without_counts(move.job) == without_counts(job)
    assert list(move.verdicts) == [ruling for each in moves for ruling in each.verdicts]
    assert list(move.notes) == [note for each in moves for note in each.notes]
    # A batch may make fewer events, but never more than one.
    assert (move.event is not None) <= any(each.event is not None for each in moves)
    assert move.job.seq - before.seq == (move.event is not None)
    assert finals([move]) == finals(moves)


def one_by_one(
    job: Job, callbacks: Sequence[ParsedCallback], now: Millis, rules: Rules
) -> tuple[Job, list[Move]]:
    moves = []
    for callback in callbacks:
        move = decide(job, CallbackBatch((callback,)), now, rules)
        assert move is not None
        job = move.job
        moves.append(move)
    return job, moves


def without_counts(job: Job) -> Job:
    """The job without the fields that only count its events."""
    return replace(job, seq=0, updated_at=START)


def finals(moves: Sequence[Move]) -> list[tuple[Status, bool]]:
    return [
        (move.relay.status, move.relay.self_declared)
        for move in moves
        if move.relay is not None and move.relay.final
    ]
