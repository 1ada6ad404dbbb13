"""Answers to another attempt than the job's latest."""

from dataclasses import replace

import pytest

from receiver.domain.answers import (
    SubmitAccepted,
    SubmitAmbiguous,
    SubmitAnswer,
    SubmitNotSent,
    SubmitRefused,
)
from receiver.domain.observations import SubmissionBegins, SubmissionEnded
from receiver.domain.schedule import HOUR, MINUTE
from receiver.domain.submission import is_under_way
from store.records.jobs import Phase
from tests.domain.jobs import ID, OTHER_ID, STATES, Story, in_state

EARLIER_ANSWERS: list[SubmitAnswer] = [
    SubmitNotSent("connection refused", retry_after=MINUTE),
    SubmitRefused(400, "No."),
    SubmitRefused(401, "Unauthorized"),
    SubmitAmbiguous("reset"),
]


@pytest.mark.parametrize("answer", EARLIER_ANSWERS, ids=str)
@pytest.mark.parametrize("state", STATES)
def test_the_answer_of_an_earlier_attempt_is_only_noted(state: str, answer: SubmitAnswer) -> None:
    story = in_state(state)
    story.job = replace(story.job, attempts=story.job.attempts + 1)
    begun, before = replace(story.begun(), attempt=story.job.attempts - 1), story.job
    move = story.observe(SubmissionEnded(begun, answer))
    assert move is not None
    assert (story.job, move.event, move.relay) == (before, None, None)
    assert [note.detail["attempt"] for note in move.notes] == [begun.attempt]


def test_a_repeated_not_sent_does_not_requeue_the_next_attempt() -> None:
    """The first report was committed, and its confirmation was lost."""
    story = in_state("submitting")
    ended = SubmissionEnded(story.begun(), SubmitNotSent("connection refused"))
    story.observe(ended)
    story.wait_until(story.due().at)
    story.begin()
    story.observe(ended)
    assert (story.job.phase, story.job.attempts) == (Phase.SUBMITTING, 2)


def test_not_sent_from_one_worker_does_not_requeue_the_attempt_of_another() -> None:
    """Both have leased the queued job in turn, and both begin it as attempt 1."""
    story = Story()
    slow, quick = SubmissionBegins(1, story.now + MINUTE), SubmissionBegins(1, story.now + HOUR)
    story.observe(quick)
    assert story.observe(slow) is None
    assert not is_under_way(story.job, slow)
    story.observe(SubmissionEnded(slow, SubmitNotSent("the service stopped")))
    assert is_under_way(story.job, quick)


def test_a_stale_attempt_does_not_begin_before_the_job_is_due() -> None:
    """Another one has tried meanwhile, and the provider has asked for a pause."""
    story = Story()
    stale = SubmissionBegins(1, story.now + HOUR)
    story.begin()
    story.observe(SubmitNotSent("429", retry_after=MINUTE))
    assert story.observe(stale) is None
    assert story.job.phase is Phase.QUEUED


def test_beginning_twice_is_one_attempt() -> None:
    """The first begin was committed, and its confirmation was lost."""
    story = Story()
    begins = SubmissionBegins(1, story.now + MINUTE)
    story.observe(begins)
    assert story.observe(begins) is None
    assert is_under_way(story.job, begins)


def test_acceptance_of_an_earlier_attempt_counts_and_nothing_more_is_sent() -> None:
    story = in_state("submitting again")
    earlier = replace(story.begun(), attempt=1)
    story.observe(SubmissionEnded(earlier, SubmitAccepted(ID)))
    assert (story.job.phase, story.job.provider_request_id) == (Phase.ACCEPTED, ID)
    move = story.observe(SubmitAccepted(OTHER_ID))
    assert move is not None
    assert story.job.provider_request_id == ID
    assert [note.detail["provider_request_id"] for note in move.notes] == [OTHER_ID]
