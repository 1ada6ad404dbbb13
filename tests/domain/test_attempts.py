"""Answers that speak of another attempt than the job's latest (contract 6, rules 2 and 8)."""

from dataclasses import replace

import pytest

from receiver.domain.observations import (
    SubmissionBegins,
    SubmissionEnded,
    SubmitAccepted,
    SubmitAmbiguous,
    SubmitAnswer,
    SubmitNotSent,
    SubmitRefused,
)
from receiver.domain.schedule import HOUR, MINUTE
from receiver.domain.submission import is_under_way
from store.records import Phase
from tests.domain.jobs import ID, OTHER_ID, STATES, Story, in_state

EARLIER_ANSWERS: list[SubmitAnswer] = [
    SubmitNotSent("connection refused", retry_after=MINUTE),
    SubmitRefused(400, "No."),
    SubmitRefused(401, "Unauthorized"),
    SubmitAmbiguous("reset"),
]


@pytest.mark.parametrize("answer", EARLIER_ANSWERS, ids=str)
@pytest.mark.parametrize("state", STATES)
def test_an_earlier_attempts_answer_is_noted_and_changes_nothing(
    state: str, answer: SubmitAnswer
) -> None:
    story = in_state(state)
    story.job = replace(story.job, attempts=story.job.attempts + 1)
    begun, before = replace(story.begun(), attempt=story.job.attempts - 1), story.job
    move = story.hear(SubmissionEnded(begun, answer))
    assert move is not None
    assert (story.job, move.event, move.relay) == (before, None, None)
    assert [note.detail["attempt"] for note in move.notes] == [begun.attempt]


def test_not_sent_said_again_does_not_send_beside_the_next_attempt() -> None:
    """The commit of the first telling had been stored, and its answer was lost."""
    story = in_state("submitting")
    told = SubmissionEnded(story.begun(), SubmitNotSent("connection refused"))
    story.hear(told)
    story.wait_until(story.due().at)
    story.begin()
    story.hear(told)
    assert (story.job.phase, story.job.attempts) == (Phase.SUBMITTING, 2)


def test_not_sent_by_one_worker_takes_back_no_attempt_of_another() -> None:
    """Both have leased the queued job in turn, and both call what they begin the first attempt."""
    story = Story()
    slow, quick = SubmissionBegins(1, story.now + MINUTE), SubmissionBegins(1, story.now + HOUR)
    story.hear(quick)
    assert story.hear(slow) is None
    assert not is_under_way(story.job, slow)
    story.hear(SubmissionEnded(slow, SubmitNotSent("the service stopped")))
    assert is_under_way(story.job, quick)


def test_a_worker_that_stood_still_begins_nothing_before_its_time() -> None:
    """Another one has tried meanwhile, and the provider has asked for a pause."""
    story = Story()
    stale = SubmissionBegins(1, story.now + HOUR)
    story.begin()
    story.hear(SubmitNotSent("429", retry_after=MINUTE))
    assert story.hear(stale) is None
    assert story.job.phase is Phase.QUEUED


def test_to_begin_again_what_has_begun_is_the_same_attempt() -> None:
    """The commit of the first beginning was stored, and its answer was lost."""
    story = Story()
    begins = SubmissionBegins(1, story.now + MINUTE)
    story.hear(begins)
    assert story.hear(begins) is None
    assert is_under_way(story.job, begins)


def test_an_earlier_attempt_that_was_accepted_is_taken_and_nothing_more_is_sent() -> None:
    story = in_state("submitting again")
    earlier = replace(story.begun(), attempt=1)
    story.hear(SubmissionEnded(earlier, SubmitAccepted(ID)))
    assert (story.job.phase, story.job.provider_request_id) == (Phase.ACCEPTED, ID)
    move = story.hear(SubmitAccepted(OTHER_ID))
    assert move is not None
    assert story.job.provider_request_id == ID
    assert [note.detail["provider_request_id"] for note in move.notes] == [OTHER_ID]
