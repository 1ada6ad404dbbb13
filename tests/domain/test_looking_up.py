"""Looking up, in the provider's list, a submission whose answer was lost."""

from dataclasses import replace

from receiver.domain.answers import (
    StatusMissing,
    StatusUnavailable,
    SubmitAccepted,
    SubmitAmbiguous,
)
from receiver.domain.observations import CancelRequested, SubmissionLookedUp
from receiver.domain.schedule import HOUR, MINUTE, SECOND, Rules
from store.records.jobs import ErrorCode, Evidence, Phase, Status
from store.records.times import Due, Lane, Millis
from tests.domain.jobs import ID, NEXT, OTHER_ID, Story, at_work, error_of

FOUND = SubmissionLookedUp(NEXT, SubmitAccepted(ID))
UNLISTED = SubmissionLookedUp(NEXT, StatusMissing())
UNAVAILABLE = SubmissionLookedUp(NEXT, StatusUnavailable("timeout"))


def unconfirmed(deadline: Millis = HOUR) -> Story:
    story = Story(rules=Rules(look_up_submissions=True, unconfirmed_deadline=deadline))
    story.begin()
    story.observe(SubmitAmbiguous("reset"))
    return story


def next_look(story: Story) -> int:
    """Milliseconds until the next look-up."""
    assert story.due().lane is Lane.POLL
    return story.due().at - story.now


def test_the_first_look_up_comes_after_poll_first() -> None:
    assert next_look(unconfirmed()) == 30 * SECOND
    assert next_look(unconfirmed(MINUTE // 2)) == 15 * SECOND


def test_a_job_that_is_found_is_polled_at_once() -> None:
    story = unconfirmed()
    move = story.observe(FOUND)
    assert move is not None
    (note,) = move.notes
    assert (note.type, note.detail["outcome"]) == ("submission", "found")
    assert (story.job.phase, story.job.evidence) == (Phase.ACCEPTED, Evidence.SUBMIT)
    assert story.job.provider_request_id == ID
    assert next_look(story) == 0


def test_a_job_found_without_its_id_is_accepted() -> None:
    story = unconfirmed()
    story.observe(SubmissionLookedUp(NEXT, SubmitAccepted(None)))
    assert (story.job.phase, story.due().lane) == (Phase.ACCEPTED, Lane.WAIT)


def test_an_unlisted_job_is_looked_up_once_more_before_it_fails() -> None:
    story = unconfirmed()
    end = story.now + HOUR
    story.observe(UNLISTED)
    assert story.job.phase is Phase.SUBMIT_UNCONFIRMED
    assert story.due().at == end
    story.wait_until(end)
    story.observe(UNLISTED, 0)
    assert error_of(story) is ErrorCode.SUBMIT_OUTCOME_UNKNOWN


def test_without_an_answer_the_look_up_is_repeated_at_growing_gaps() -> None:
    story = unconfirmed()
    end = story.now + HOUR
    gaps = []
    while not story.job.done:
        story.wait_until(story.due().at)
        story.observe(UNAVAILABLE, 0)
        if not story.job.done:
            gaps.append(next_look(story))
    assert 5 * SECOND <= gaps[0] < 6 * SECOND
    assert gaps[0] < gaps[1] < gaps[2] <= max(gaps) <= 126 * SECOND
    assert story.now == end
    later = unconfirmed()
    later.observe(SubmissionLookedUp(NEXT, StatusUnavailable("busy", 10 * MINUTE)))
    assert next_look(later) == 10 * MINUTE


def test_a_callback_on_disk_goes_before_the_deadline() -> None:
    story = unconfirmed()
    story.job = replace(story.job, callbacks_waiting=True)
    story.wait_until(story.now + HOUR)
    story.observe(UNLISTED, 0)
    assert story.job.phase is Phase.SUBMIT_UNCONFIRMED
    assert story.due() == Due(Lane.WAIT, story.now + SECOND)


def test_an_id_from_a_callback_is_kept() -> None:
    story = unconfirmed()
    story.called_back(at_work(30, provider_request_id=OTHER_ID))
    assert story.observe(FOUND) is None
    assert story.observe(UNLISTED) is None
    assert story.observe(UNAVAILABLE) is None
    assert story.job.provider_request_id == OTHER_ID


def test_a_cancelled_job_that_is_found_is_cancelled_upstream() -> None:
    story = unconfirmed()
    story.observe(CancelRequested(frozenset({"samsar"})))
    assert story.job.due is None
    story.observe(FOUND)
    assert (story.job.status, story.job.provider_request_id) == (Status.CANCELLED, ID)
    assert next_look(story) == 0
