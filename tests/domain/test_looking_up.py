"""A submission whose answer was lost, and which is looked for in its provider's list."""

from dataclasses import replace

from receiver.domain.observations import (
    CancelRequested,
    StatusMissing,
    StatusUnavailable,
    SubmissionLookedUp,
    SubmitAccepted,
    SubmitAmbiguous,
)
from receiver.domain.schedule import HOUR, MINUTE, SECOND, Rules
from store.records import Due, ErrorCode, Evidence, Lane, Millis, Phase, Status
from tests.domain.jobs import ID, OTHER_ID, Story, at_work

FOUND = SubmissionLookedUp(SubmitAccepted(ID))
UNLISTED = SubmissionLookedUp(StatusMissing("not listed"))
UNAVAILABLE = SubmissionLookedUp(StatusUnavailable("timeout"))


def unconfirmed(deadline: Millis = HOUR) -> Story:
    story = Story(rules=Rules(look_up_submissions=True, unconfirmed_deadline=deadline))
    story.begin()
    story.hear(SubmitAmbiguous("reset"))
    return story


def next_look(story: Story) -> int:
    """In how long it is looked for again."""
    assert story.due().lane is Lane.POLL
    return story.due().at - story.now


def test_it_is_looked_for_when_an_accepted_job_would_be_polled() -> None:
    assert next_look(unconfirmed()) == 30 * SECOND
    assert next_look(unconfirmed(MINUTE // 2)) == 15 * SECOND


def test_a_job_that_is_found_has_its_id_and_is_polled_at_once() -> None:
    story = unconfirmed()
    move = story.hear(FOUND)
    assert move is not None
    (note,) = move.notes
    assert (note.type, note.detail["outcome"]) == ("submission", "found")
    assert (story.job.phase, story.job.evidence) == (Phase.ACCEPTED, Evidence.SUBMIT)
    assert story.job.provider_request_id == ID
    assert next_look(story) == 0


def test_a_find_whose_id_is_another_jobs_proves_acceptance_alone() -> None:
    story = unconfirmed()
    story.hear(SubmissionLookedUp(SubmitAccepted(None)))
    assert (story.job.phase, story.due().lane) == (Phase.ACCEPTED, Lane.WAIT)


def test_where_it_is_not_listed_it_is_looked_for_once_more_before_it_fails() -> None:
    story = unconfirmed()
    end = story.now + HOUR
    story.hear(UNLISTED)
    assert story.job.phase is Phase.SUBMIT_UNCONFIRMED
    assert story.due().at == end
    story.wait_until(end)
    story.hear(UNLISTED, 0)
    assert story.job.error is not None
    assert story.job.error.code is ErrorCode.SUBMIT_OUTCOME_UNKNOWN


def test_without_an_answer_it_is_asked_again_at_growing_gaps() -> None:
    story = unconfirmed()
    end = story.now + HOUR
    gaps = []
    while not story.job.done:
        story.wait_until(story.due().at)
        story.hear(UNAVAILABLE, 0)
        if not story.job.done:
            gaps.append(next_look(story))
    assert 5 * SECOND <= gaps[0] < 6 * SECOND
    assert gaps[0] < gaps[1] < gaps[2] <= max(gaps) <= 126 * SECOND
    assert story.now == end
    later = unconfirmed()
    later.hear(SubmissionLookedUp(StatusUnavailable("busy", 10 * MINUTE)))
    assert next_look(later) == 10 * MINUTE


def test_a_callback_on_disk_goes_before_the_deadline() -> None:
    story = unconfirmed()
    story.job = replace(story.job, callbacks_waiting=True)
    story.wait_until(story.now + HOUR)
    story.hear(UNLISTED, 0)
    assert story.job.phase is Phase.SUBMIT_UNCONFIRMED
    assert story.due() == Due(Lane.WAIT, story.now + SECOND)


def test_what_was_learned_meanwhile_outranks_a_find() -> None:
    story = unconfirmed()
    story.called_back(at_work(30, names=OTHER_ID))
    assert story.hear(FOUND) is None
    assert story.hear(UNLISTED) is None
    assert story.hear(UNAVAILABLE) is None
    assert story.job.provider_request_id == OTHER_ID


def test_a_find_after_a_cancel_passes_the_cancel_on() -> None:
    story = unconfirmed()
    story.hear(CancelRequested(frozenset({"samsar"})))
    assert story.job.due is None
    story.hear(FOUND)
    assert (story.job.status, story.job.provider_request_id) == (Status.CANCELLED, ID)
    assert next_look(story) == 0
